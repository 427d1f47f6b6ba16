"""Random crop: the image is padded, and a window of the old size is cut at a random place.

    x'[i, j] = x[i - a, j - b],  a, b ~ U{-padding, ..., padding} for each image; beyond the border, the nearest pixel

Source: He et al., CVPR 2016, section 4.2, arXiv:1512.03385 (4 pixels on CIFAR-10; there, with zeros).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Count
from tuneful.techniques.augments.affine import Geometric, identity
from tuneful.techniques.augments.images import require_images


class Crop(Geometric):
    """Objects are not always in the middle; whole pixels."""

    source: ClassVar[str] = "He et al., CVPR 2016, section 4.2, arXiv:1512.03385"
    cost: ClassVar[str] = "one copy of the batch; nothing beside other moves of pixels"
    exact: ClassVar[bool] = True

    kind: Literal["crop"] = "crop"
    padding: Count = 4  # largest move along each axis, in pixels

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """A whole number of pixels down and to the right for each image."""
        B, _, _, _ = require_images(shape, self.kind)
        down, right = torch.randint(-self.padding, self.padding + 1, (2, B), generator=dice)
        matrix = identity(B)
        matrix[:, 0, 2], matrix[:, 1, 2] = -right, -down
        return {"matrix": matrix}
