"""Rotation about the middle of the image.

    x'(q) = x(R(a) q),  R(a) = [[cos a, -sin a], [sin a, cos a]],  a ~ U(-degrees, degrees) for each image

Positive angles turn the content against the clock. Small angles serve nearly everything; above some 20 degrees a 6 nears a 9.

Source: Simard et al., ICDAR 2003 (rotations as affine distortions with bilinear values).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from tuneful.techniques.augments.affine import Geometric, identity
from tuneful.techniques.augments.images import require_images

Degrees = Annotated[float, Field(ge=0, le=180, allow_inf_nan=False)]


class Rotate(Geometric):
    """Objects are not always upright."""

    source: ClassVar[str] = "Simard et al., ICDAR 2003"
    cost: ClassVar[str] = "one copy of the batch and its grid of places; nothing beside other moves of pixels"

    kind: Literal["rotate"] = "rotate"
    degrees: Degrees = 10.0  # largest turn to either side

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """An angle for each image."""
        B, _, _, _ = require_images(shape, self.kind)
        return {"matrix": rotation((2 * torch.rand(B, generator=dice) - 1) * math.radians(self.degrees))}


def rotation(angle_B: Tensor) -> Tensor:
    """Maps [B, 2, 3] that turn the content against the clock by angles in radians."""
    matrix = identity(len(angle_B))
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle_B.cos()
    matrix[:, 1, 0] = angle_B.sin()
    matrix[:, 0, 1] = -matrix[:, 1, 0]
    return matrix
