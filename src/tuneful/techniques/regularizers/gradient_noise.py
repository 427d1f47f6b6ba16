"""Gradient noise: less and less of it, added to every gradient.

    g += s n,   n ~ Normal(0, 1),   s^2 = strength / (1 + t)^fall,   t = 0, 1, ... steps so far

It comes after all clipping.

Source: Neelakantan et al. 2015, arXiv:1511.06807 (strength 0.01, 0.3 or 1, fall 0.55).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import nn

from tuneful.core.config import NonNegative
from tuneful.techniques.interfaces import Dice, Regularizer
from tuneful.techniques.shards import share_of


class GradientNoise(Regularizer):
    """Helps deep, plain networks out of bad beginnings."""

    source: ClassVar[str] = "Neelakantan et al. 2015, arXiv:1511.06807"
    cost: ClassVar[str] = "one random number per weight a step"

    kind: Literal["gradient_noise"] = "gradient_noise"
    strength: NonNegative = 0.01  # variance of the noise in the first step
    fall: NonNegative = 0.55  # how fast the variance falls

    @torch.no_grad()
    def disturb_(self, params: Sequence[nn.Parameter], t: int, dice: Dice) -> None:
        """Add noise to every gradient; t = 1 is the first step."""
        thrown, deviation = dice(), (self.strength / float(t) ** self.fall) ** 0.5
        for p in params:
            if p.grad is not None:
                noise = torch.randn(p.grad.shape, generator=thrown, dtype=p.grad.dtype, device=p.grad.device)
                p.grad.add_(share_of(noise, p.grad), alpha=deviation)
