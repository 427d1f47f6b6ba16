"""The two shapes of a draw that has a given deviation: normal and uniform."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Distribution = Literal["normal", "uniform"]


def draw_(weight: Tensor, std: float, distribution: Distribution, dice: torch.Generator) -> None:
    """Fill in place with mean 0 and deviation std: N(0, std^2), or U(-a, a) with a = sqrt(3) std."""
    if distribution == "normal":
        weight.normal_(0.0, std, generator=dice)
    else:
        bound = math.sqrt(3.0) * std
        weight.uniform_(-bound, bound, generator=dice)
