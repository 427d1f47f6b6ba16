"""Horizontal flip: left and right are exchanged in a share of the images.

    x'[i, j] = x[i, W - 1 - j] with probability share, for each image

Not for digits and letters: they change their meaning.

Source: Krizhevsky et al., NIPS 2012, section 4.1.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Share
from tuneful.techniques.augments.images import require_images
from tuneful.techniques.interfaces import Augment


class Flip(Augment):
    """Things look alike in a mirror."""

    source: ClassVar[str] = "Krizhevsky et al., NIPS 2012"
    cost: ClassVar[str] = "two copies of the batch"
    needs: ClassVar[str] = "image"

    kind: Literal["flip"] = "flip"
    share: Share = 0.5  # probability that an image is flipped

    def apply(self, x: Tensor, p: Tensor, dice: torch.Generator) -> tuple[Tensor, Tensor]:
        """Flip some images of [B, C, H, W]; p is given back as it is. Raises RecipeError for no images."""
        require_images(x, self.kind)
        chosen = (torch.rand(len(x), generator=dice) < self.share).to(x.device)
        return torch.where(chosen[:, None, None, None], x.flip(-1), x), p
