"""Shear: the image is slanted along one of its axes.

    x'(u, v) = x(u + s v, v)  or  x(u, v + s u),  by a coin;  s ~ U(-amount, amount) for each image

A shear by s slants upright lines by arctan s: 0.2 is about 11 degrees.

Source: Simard et al., ICDAR 2003 (skews as affine distortions with bilinear values).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import NonNegative
from tuneful.techniques.augments.affine import Geometric, identity
from tuneful.techniques.augments.images import require_images


class Shear(Geometric):
    """Handwriting slants, and cameras look from the side."""

    source: ClassVar[str] = "Simard et al., ICDAR 2003"
    cost: ClassVar[str] = "one copy of the batch and its grid of places; nothing beside other moves of pixels"

    kind: Literal["shear"] = "shear"
    amount: NonNegative = 0.1  # largest slant to either side: pixels across for each pixel along

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """An axis and a slant for each image."""
        B, _, _, _ = require_images(shape, self.kind)
        slant = (2 * torch.rand(B, generator=dice) - 1) * self.amount
        across = torch.rand(B, generator=dice) < 0.5
        matrix = identity(B)
        matrix[:, 0, 1], matrix[:, 1, 0] = slant * across, slant * ~across
        return {"matrix": matrix}
