"""Zoom: the image is enlarged or made smaller about its middle.

    x'(q) = x(q / z),  log z ~ U(-log(1 + amount), log(1 + amount)) for each image

Enlarging by a factor is as likely as making smaller by it. What a smaller image leaves free is filled from its border.

Source: Simard et al., ICDAR 2003 (scalings as affine distortions with bilinear values).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import NonNegative
from tuneful.techniques.augments.affine import Geometric, identity
from tuneful.techniques.augments.images import require_images


class Zoom(Geometric):
    """Objects are near or far."""

    source: ClassVar[str] = "Simard et al., ICDAR 2003"
    cost: ClassVar[str] = "one copy of the batch and its grid of places; nothing beside other moves of pixels"

    kind: Literal["zoom"] = "zoom"
    amount: NonNegative = 0.1  # largest enlargement less 1: 0.1 zooms between 1/1.1 and 1.1

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """A factor for each image."""
        B, _, _, _ = require_images(shape, self.kind)
        power = (2 * torch.rand(B, generator=dice) - 1) * math.log1p(self.amount)
        return {"matrix": identity(B) * (-power).exp()[:, None, None]}
