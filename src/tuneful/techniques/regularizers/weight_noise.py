"""Weight noise: the gradient is taken a little beside the weights, another way in every step.

    g = gradient at w + deviation n,   n ~ Normal(0, 1);          the step is taken from w

Weights of two axes or more; biases and norms are exact. Flat minima bear it, sharp ones do not.

Source: Graves, NIPS 2011, "Practical variational inference" (with a fixed deviation, as in Graves et al., ICASSP 2013,
arXiv:1303.5778).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

import torch
from torch import nn

from tuneful.core.config import NonNegative
from tuneful.techniques.interfaces import Dice, Regularizer
from tuneful.techniques.shards import share_of


class WeightNoise(Regularizer):
    """Weights that need not be told to the last digit."""

    source: ClassVar[str] = "Graves, NIPS 2011; Graves et al., ICASSP 2013, arXiv:1303.5778"
    cost: ClassVar[str] = "one copy of the weights, and one random number per weight a step"
    shakes: ClassVar[bool] = True

    kind: Literal["weight_noise"] = "weight_noise"
    deviation: NonNegative = 0.01  # of the noise, in the unit of the weights

    @contextmanager
    def during(self, params: Sequence[nn.Parameter], dice: Dice) -> Generator[None]:
        """Weights with noise inside; outside they are to the bit what they were."""
        thrown = dice()
        weights = [p for p in params if p.ndim >= 2]
        before = [p.detach().clone() for p in weights]
        with torch.no_grad():
            for p in weights:
                noise = torch.randn(p.shape, generator=thrown, dtype=p.dtype, device=p.device)
                p.add_(share_of(noise, p), alpha=self.deviation)
        try:
            yield
        finally:
            with torch.no_grad():
                for p, old in zip(weights, before, strict=True):
                    p.copy_(old)
