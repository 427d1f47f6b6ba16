"""Xavier (Glorot): a compromise between the forward signal and the backward one.

    w of variance 2 gain^2 / (fan_in + fan_out),  gain = 1;  U(-a, a) with a = gain sqrt(6 / (fan_in + fan_out)), or N(0, v)

Source: Glorot & Bengio, AISTATS 2010, eq. 12 and 16.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.techniques.inits.draw import Distribution, draw_
from tuneful.techniques.interfaces import Init


class Xavier(Init):
    """For tanh and sigmoid units."""

    source: ClassVar[str] = "Glorot & Bengio, AISTATS 2010"
    cost: ClassVar[str] = "one draw per weight, once"

    kind: Literal["xavier"] = "xavier"
    distribution: Distribution = "uniform"  # shape of the draw; the variance is the same

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Deviation gain sqrt(2 / (fan_in + fan_out))."""
        draw_(weight, gain * math.sqrt(2.0 / (fan_in + fan_out)), self.distribution, dice)
