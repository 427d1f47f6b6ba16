"""Shift: the image is moved by a share of its size, between pixels too.

    x'(u, v) = x(u - a W, v - b H),  a, b ~ U(-amount, amount) for each image

Values between pixels are blended from the four nearest, which also blurs a little. Beside crop it suits small images, where
one pixel is much.

Source: Simard et al., ICDAR 2003 (translations as affine distortions with bilinear values).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Fraction
from tuneful.techniques.augments.affine import Geometric, identity
from tuneful.techniques.augments.images import require_images


class Shift(Geometric):
    """Objects are not always in the middle; parts of pixels."""

    source: ClassVar[str] = "Simard et al., ICDAR 2003"
    cost: ClassVar[str] = "one copy of the batch and its grid of places; nothing beside other moves of pixels"

    kind: Literal["shift"] = "shift"
    amount: Fraction = 0.1  # largest move along each axis, as a share of the size

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """Two shares of the size for each image."""
        B, _, H, W = require_images(shape, self.kind)
        moves_B2 = (2 * torch.rand(B, 2, generator=dice) - 1) * self.amount
        matrix = identity(B)
        matrix[:, :, 2] = -moves_B2 * torch.tensor([W, H])
        return {"matrix": matrix}
