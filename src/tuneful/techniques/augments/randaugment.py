"""RandAugment: a few operations at random for each image, all with the same strength.

    `ops` operations of the twelve in `policy`, drawn evenly and with repetition; each at `strength`, its sign by a coin

Two settings take the place of a searched policy. The paper's M of 30 is strength M / 30.

Source: Cubuk et al., CVPR workshops 2020, arXiv:1909.13719.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Count, Share
from tuneful.core.form import FormKind
from tuneful.techniques.augments.affine import with_image
from tuneful.techniques.augments.images import require_images
from tuneful.techniques.augments.policy import OPERATIONS, Ranges, carry_out, gather
from tuneful.techniques.interfaces import Augment

RANGES = Ranges(degrees=30, shift=0.3, shear=0.3, light=0.9, bits=4)


class RandAugment(Augment):
    """Many kinds of change with two settings."""

    source: ClassVar[str] = "Cubuk et al., CVPR workshops 2020, arXiv:1909.13719"
    cost: ClassVar[str] = "one resampling, one colour matrix and some passes over parts of the batch"
    serves: ClassVar[tuple[FormKind, ...]] = ("image",)
    moves: ClassVar[bool] = True

    kind: Literal["randaugment"] = "randaugment"
    strength: Share = 0.3  # of every operation; 1 turns by 30 degrees and moves by 0.3 of the side
    ops: Count = 2  # operations for each image

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """Operations with their signs, gathered into parameters."""
        B, _, H, W = require_images(shape, self.kind)
        chosen = torch.randint(len(OPERATIONS), (B, self.ops), generator=dice)
        sign = 2 * torch.randint(2, (B, self.ops), generator=dice) - 1
        return gather(chosen, self.strength * sign, RANGES, H, W)

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The operations of each image of [B, C, H, W]; p is given back as it is, but a mask moves along."""
        return carry_out(x, drawn), with_image(x, p, drawn["matrix"], exact=False)
