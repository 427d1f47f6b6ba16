"""LeCun: the variance that keeps the forward signal constant where nothing is rectified.

    w of variance gain^2 / fan_in,  gain = 1;  N(0, v), or U(-a, a) with a = sqrt(3 v)

Source: LeCun et al. 1998, "Efficient BackProp", section 4.6; for SELU, Klambauer et al., NeurIPS 2017, arXiv:1706.02515.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.techniques.inits.draw import Distribution, draw_
from tuneful.techniques.interfaces import Init


class LeCun(Init):
    """For linear, tanh and SELU units, and for networks with norms."""

    source: ClassVar[str] = "LeCun et al. 1998, Efficient BackProp"
    cost: ClassVar[str] = "one draw per weight, once"

    kind: Literal["lecun"] = "lecun"
    distribution: Distribution = "normal"  # shape of the draw; the variance is the same

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Deviation gain / sqrt(fan_in)."""
        draw_(weight, gain / math.sqrt(fan_in), self.distribution, dice)
