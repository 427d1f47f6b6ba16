"""Quantile (pinball) loss: the value that a share of all targets lies below is what makes it smallest.

    loss = level (y - z)          where y >= z
           (1 - level) (z - y)    elsewhere

Source: Koenker & Bassett, Econometrica 46, 1978, eq. 1.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from tuneful.techniques.interfaces import Loss


class Quantile(Loss):
    """For a bound rather than a guess: level=0.9 is exceeded by one target in ten."""

    source: ClassVar[str] = "Koenker & Bassett, Econometrica 46, 1978"
    cost: ClassVar[str] = "nothing to speak of"

    kind: Literal["quantile"] = "quantile"
    level: Annotated[float, Field(gt=0, lt=1)] = 0.5  # share of the targets that shall lie below

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        off = target - z
        return torch.maximum(self.level * off, (self.level - 1) * off).sum()
