"""Xavier (Glorot): a compromise between the forward signal and the backward one.

    w ~ U(-a, a),  a = gain sqrt(6 / (fan_in + fan_out)),  gain = 1

Source: Glorot & Bengio, AISTATS 2010, eq. 16.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.techniques.interfaces import Init


class Xavier(Init):
    """For tanh and sigmoid units."""

    source: ClassVar[str] = "Glorot & Bengio, AISTATS 2010"
    cost: ClassVar[str] = "one draw per weight, once"

    kind: Literal["xavier"] = "xavier"

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Uniform with deviation gain sqrt(2 / (fan_in + fan_out))."""
        bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
        weight.uniform_(-bound, bound, generator=dice)
