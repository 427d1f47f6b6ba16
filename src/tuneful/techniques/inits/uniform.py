"""Uniform: one bound for every layer, whatever its width.

    w ~ U(-gain bound, gain bound),  gain = 1

Source: Rumelhart, Hinton & Williams, Nature 323, 1986 (small random weights); LeCun et al. 1998 say why width should count.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Positive
from tuneful.techniques.interfaces import Init


class Uniform(Init):
    """The oldest; deep networks without norms fade or explode with it."""

    source: ClassVar[str] = "Rumelhart, Hinton & Williams, Nature 323, 1986"
    cost: ClassVar[str] = "one draw per weight, once"

    kind: Literal["uniform"] = "uniform"
    bound: Positive = 0.05  # the largest weight

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Uniform between -gain * bound and gain * bound; the fans do not matter."""
        weight.uniform_(-gain * self.bound, gain * self.bound, generator=dice)
