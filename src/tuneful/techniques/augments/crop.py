"""Random crop: the image is padded, and a window of the old size is cut at a random place.

    x'[i, j] = x[i - a, j - b],  a, b ~ U{-padding, ..., padding} for each image; beyond the border, the nearest pixel

Source: He et al., CVPR 2016, section 4.2, arXiv:1512.03385 (4 pixels on CIFAR-10; there, with zeros).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Count
from tuneful.techniques.augments.images import moved, require_images
from tuneful.techniques.interfaces import Augment


class Crop(Augment):
    """Objects are not always in the middle; whole pixels."""

    source: ClassVar[str] = "He et al., CVPR 2016, section 4.2, arXiv:1512.03385"
    cost: ClassVar[str] = "one copy of the batch"
    needs: ClassVar[str] = "image"

    kind: Literal["crop"] = "crop"
    padding: Count = 4  # largest move along each axis, in pixels

    def apply(self, x: Tensor, p: Tensor, dice: torch.Generator) -> tuple[Tensor, Tensor]:
        """Move every image of [B, C, H, W] by its own pixels; p is given back as it is. Raises RecipeError for no images."""
        require_images(x, self.kind)
        down, right = torch.randint(-self.padding, self.padding + 1, (2, len(x)), generator=dice)
        return moved(x, down, right), p
