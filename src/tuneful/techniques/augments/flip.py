"""Horizontal flip: left and right are exchanged in a share of the images.

    x'[i, j] = x[i, W - 1 - j] with probability share, for each image

Not for digits and letters: they change their meaning.

Source: Krizhevsky et al., NIPS 2012, section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Share
from tuneful.techniques.augments.affine import Geometric, identity
from tuneful.techniques.augments.images import require_images


class Flip(Geometric):
    """Things look alike in a mirror."""

    source: ClassVar[str] = "Krizhevsky et al., NIPS 2012"
    cost: ClassVar[str] = "one copy of the batch; nothing beside other moves of pixels"
    exact: ClassVar[bool] = True

    kind: Literal["flip"] = "flip"
    share: Share = 0.5  # probability that an image is flipped

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """Which images are flipped."""
        B, _, _, _ = require_images(shape, self.kind)
        chosen = torch.rand(B, generator=dice) < self.share
        matrix = identity(B)
        matrix[:, 0, 0] -= 2 * chosen
        return {"matrix": matrix}
