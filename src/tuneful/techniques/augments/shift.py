"""Shift: the image is moved by a share of its size, between pixels too.

    x'(u, v) = x(u - a H, v - b W),  a, b ~ U(-amount, amount) for each image

Values between pixels are blended from the four nearest (bilinear), which also blurs a little; beyond the border, the nearest
pixel. Beside crop it suits small images, where one pixel is much.

Source: Simard et al., ICDAR 2003 (translations as affine distortions with bilinear values).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tuneful.core.config import Fraction
from tuneful.techniques.augments.images import require_images
from tuneful.techniques.interfaces import Augment


class Shift(Augment):
    """Objects are not always in the middle; parts of pixels."""

    source: ClassVar[str] = "Simard et al., ICDAR 2003"
    cost: ClassVar[str] = "one copy of the batch and its grid of places"
    needs: ClassVar[str] = "image"

    kind: Literal["shift"] = "shift"
    amount: Fraction = 0.1  # largest move along each axis, as a share of the size

    def apply(self, x: Tensor, p: Tensor, dice: torch.Generator) -> tuple[Tensor, Tensor]:
        """Move every image of [B, C, H, W]; p is given back as it is. Raises RecipeError for no images."""
        require_images(x, self.kind)
        moves_B2 = (2 * torch.rand(len(x), 2, generator=dice) - 1) * self.amount
        theta_B23 = torch.eye(2, 3).repeat(len(x), 1, 1)
        theta_B23[:, :, 2] = 2 * moves_B2  # the grid runs from -1 to 1, so a whole size is 2
        grid_BHW2 = F.affine_grid(theta_B23.to(x.device, x.dtype), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid_BHW2, mode="bilinear", padding_mode="border", align_corners=False), p
