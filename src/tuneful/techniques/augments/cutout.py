"""Cutout: a rectangle of fixed size around a random pixel becomes the mean of the data.

    x' = 0 inside the rectangle of size (size H, size W), whose middle is anywhere; what lies beyond the border is lost

As the paper recommends, the rectangle may stick out of the image, so some images lose little. size=0.5 is the paper's 16 of 32
pixels on CIFAR-10.

Source: DeVries & Taylor, 2017, arXiv:1708.04552.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Share
from tuneful.core.form import FormKind
from tuneful.techniques.augments.images import boxes, inside, require_images
from tuneful.techniques.interfaces import Augment


class Cutout(Augment):
    """A network that looks at one detail alone is disappointed."""

    source: ClassVar[str] = "DeVries & Taylor, 2017, arXiv:1708.04552"
    cost: ClassVar[str] = "one copy of the batch"
    serves: ClassVar[tuple[FormKind, ...]] = ("image",)

    kind: Literal["cutout"] = "cutout"
    size: Share = 0.5  # height and width of the rectangle, as shares of the image's

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """A rectangle for each image."""
        B, _, H, W = require_images(shape, self.kind)
        sides = torch.tensor([H, W])
        middle = torch.rand(B, 2, generator=dice) * sides
        return {"box": boxes(middle, (self.size * sides).expand(B, 2), H, W)}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Cut the rectangles out of [B, C, H, W]; p is given back as it is."""
        return x.masked_fill(inside(drawn["box"], x), 0.0), p
