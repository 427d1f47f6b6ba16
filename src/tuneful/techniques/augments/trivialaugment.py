"""TrivialAugment: one operation at random for each image, at a random strength. Nothing is left to tune.

    one operation of the twelve in `policy`, drawn evenly;  strength ~ U{0, 1/30, ..., 1}, its sign by a coin

The ranges are the paper's wide ones, which hold very strong changes, so that a fair share of images hardly resembles itself.

Source: Müller & Hutter, ICCV 2021, arXiv:2103.10158.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.form import FormKind
from tuneful.techniques.augments.affine import with_image
from tuneful.techniques.augments.images import require_images
from tuneful.techniques.augments.policy import OPERATIONS, Ranges, carry_out, gather
from tuneful.techniques.interfaces import Augment

STRENGTHS = 30
RANGES = Ranges(degrees=135, shift=1.0, shear=0.99, light=0.99, bits=6)


class TrivialAugment(Augment):
    """Many kinds of change with no setting at all."""

    source: ClassVar[str] = "Müller & Hutter, ICCV 2021, arXiv:2103.10158"
    cost: ClassVar[str] = "one resampling, one colour matrix and some passes over parts of the batch"
    serves: ClassVar[tuple[FormKind, ...]] = ("image",)
    moves: ClassVar[bool] = True

    kind: Literal["trivialaugment"] = "trivialaugment"

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """An operation with its strength and sign, gathered into parameters."""
        B, _, H, W = require_images(shape, self.kind)
        chosen = torch.randint(len(OPERATIONS), (B, 1), generator=dice)
        strength = torch.randint(STRENGTHS + 1, (B, 1), generator=dice) / STRENGTHS
        sign = 2 * torch.randint(2, (B, 1), generator=dice) - 1
        return gather(chosen, strength * sign, RANGES, H, W)

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The operation of each image of [B, C, H, W]; p is given back as it is, but a mask moves along."""
        return carry_out(x, drawn), with_image(x, p, drawn["matrix"], exact=False)
