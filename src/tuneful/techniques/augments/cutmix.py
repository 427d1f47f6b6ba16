"""CutMix: a rectangle of another image is pasted in, and the targets are mixed by area.

    lam ~ Beta(alpha, alpha);  a rectangle of (1 - lam) H W pixels, its middle anywhere, cut off at the border
    x'_i = x_s(i) inside the rectangle, x_i elsewhere;  p'_i = lam' p_i + (1 - lam') p_s(i);  s a permutation
    lam' = the share of pixels that are left of x_i, counted after the cut

Source: Yun et al., ICCV 2019, section 3.1, arXiv:1905.04899.  There one rectangle serves the batch; here each image has its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Positive
from tuneful.core.form import FormKind
from tuneful.techniques.augments.images import boxes, inside, require_images
from tuneful.techniques.augments.pairs import beta, blended, require_blendable
from tuneful.techniques.interfaces import Augment


class CutMix(Augment):
    """Two objects in one picture, each with its share of the label."""

    source: ClassVar[str] = "Yun et al., ICCV 2019, arXiv:1905.04899"
    cost: ClassVar[str] = "two copies of the batch"
    serves: ClassVar[tuple[FormKind, ...]] = ("image",)
    partners: ClassVar[tuple[str, ...]] = ("partner",)

    kind: Literal["cutmix"] = "cutmix"
    alpha: Positive = 1.0  # 1: every area is as likely as any other; below: small and large rectangles more often

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """A rectangle and a partner for each image."""
        B, _, H, W = require_images(shape, self.kind)
        side = (1 - beta(self.alpha, B, dice)).sqrt().float()
        sides = torch.tensor([H, W])
        box = boxes(torch.rand(B, 2, generator=dice) * sides, side[:, None] * sides, H, W)
        return {"box": box, "partner": torch.randperm(B, generator=dice)}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Paste into [B, C, H, W] and mix p. Raises RecipeError for targets that are whole numbers."""
        require_blendable(self.kind, x, p)
        top, bottom, left, right = drawn["box"].unbind(1)
        left_of_it = 1 - ((bottom - top) * (right - left)).double() / (x.shape[2] * x.shape[3])
        pasted = torch.where(inside(drawn["box"], x), x[drawn["partner"].to(x.device)], x)
        return pasted, blended(p, left_of_it, drawn["partner"])
