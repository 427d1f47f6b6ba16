"""LeCun: the variance that keeps the forward signal constant where nothing is rectified.

    w ~ N(0, gain^2 / fan_in),  gain = 1

Source: LeCun et al. 1998, "Efficient BackProp", section 4.6; for SELU, Klambauer et al., NeurIPS 2017, arXiv:1706.02515.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.techniques.interfaces import Init


class LeCun(Init):
    """For linear, tanh and SELU units, and for networks with norms."""

    source: ClassVar[str] = "LeCun et al. 1998, Efficient BackProp"
    cost: ClassVar[str] = "one draw per weight, once"

    kind: Literal["lecun"] = "lecun"

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Normal with deviation gain / sqrt(fan_in)."""
        weight.normal_(0.0, gain / math.sqrt(fan_in), generator=dice)
