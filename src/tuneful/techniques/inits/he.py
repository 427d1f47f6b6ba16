"""He: the variance that keeps the signal constant through rectifiers, on the way forward or on the way back.

    w of variance gain^2 / fan_in (or fan_out),  gain = sqrt 2;  N(0, v), or U(-a, a) with a = sqrt(3 v)

Source: He et al., ICCV 2015, eq. 10 (forward) and 14 (back), arXiv:1502.01852.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.techniques.inits.draw import Distribution, draw_
from tuneful.techniques.interfaces import Init


class He(Init):
    """For ReLU and its kin."""

    source: ClassVar[str] = "He et al., ICCV 2015, arXiv:1502.01852"
    cost: ClassVar[str] = "one draw per weight, once"
    gain: ClassVar[float] = math.sqrt(2.0)

    kind: Literal["he"] = "he"
    mode: Literal["fan_in", "fan_out"] = "fan_in"  # keeps activations constant, or gradients
    distribution: Distribution = "normal"  # shape of the draw; the variance is the same

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Deviation gain / sqrt(fan)."""
        fan = fan_in if self.mode == "fan_in" else fan_out
        draw_(weight, gain / math.sqrt(fan), self.distribution, dice)
