"""Dirac: convolutions begin by handing on what they get; what they have beyond that is drawn.

    w[i, i, middle] = 1 and w[i] = 0 elsewhere for i < inputs;   w[i] ~ U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)) for the others

So a signal and its gradient pass through all layers from the first step on. A layer with no more outputs than inputs hands on the
first of them. Linear layers, embeddings and groups of convolutions are drawn alone.

Source: Zagoruyko & Komodakis 2017, "DiracNets", arXiv:1706.00388; in part, as here: Jordan 2024, section 3.3, arXiv:2404.00498.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.techniques.interfaces import Init


class Dirac(Init):
    """For convolutional networks in short trainings."""

    source: ClassVar[str] = "Zagoruyko & Komodakis 2017, arXiv:1706.00388; Jordan 2024, arXiv:2404.00498"
    cost: ClassVar[str] = "one draw per weight, once"

    kind: Literal["dirac"] = "dirac"

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Ones in the middle of windows; the gain does not matter."""
        bound = fan_in**-0.5
        weight.uniform_(-bound, bound, generator=dice)
        windows = weight.shape[2:]
        if not windows or len(weight) * math.prod(windows) != fan_out:  # a group sees a part of the inputs
            return
        middle = tuple(size // 2 for size in windows)
        for at in range(min(weight.shape[:2])):
            weight[at].zero_()
            weight[(at, at, *middle)] = 1.0
