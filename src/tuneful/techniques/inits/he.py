"""He: the variance that keeps the forward signal constant through rectifiers.

    w ~ N(0, gain^2 / fan_in),  gain = sqrt 2

Source: He et al., ICCV 2015, eq. 10, arXiv:1502.01852.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.techniques.interfaces import Init


class He(Init):
    """For ReLU and its kin."""

    source: ClassVar[str] = "He et al., ICCV 2015, arXiv:1502.01852"
    cost: ClassVar[str] = "one draw per weight, once"
    gain: ClassVar[float] = math.sqrt(2.0)

    kind: Literal["he"] = "he"

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Normal with deviation gain / sqrt(fan_in)."""
        weight.normal_(0.0, gain / math.sqrt(fan_in), generator=dice)
