"""DropConnect: weights are left out at random, where dropout leaves out units.

    w' = w * mask / (1 - rate),   mask ~ Bernoulli(1 - rate);          gradient of w = gradient of w' * mask / (1 - rate)

Weights of two axes or more; one mask for a whole batch (the paper draws one per example, at the price of one matrix per
example). Afterwards the weights are used as they are, which is the mean over masks.

Source: Wan et al., ICML 2013.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

import torch
from torch import nn

from tuneful.core.config import Fraction
from tuneful.techniques.interfaces import Dice, Regularizer
from tuneful.techniques.shards import share_of


class DropConnect(Regularizer):
    """Needs no place in the network."""

    source: ClassVar[str] = "Wan et al., ICML 2013"
    cost: ClassVar[str] = "two copies of the weights, and one random number per weight a step"
    shakes: ClassVar[bool] = True

    kind: Literal["drop_connect"] = "drop_connect"
    rate: Fraction = 0.1  # share of the weights left out

    @contextmanager
    def during(self, params: Sequence[nn.Parameter], dice: Dice) -> Generator[None]:
        """Thinned weights inside; outside they are to the bit what they were, and their gradients are thinned."""
        thrown = dice()
        weights = [p for p in params if p.ndim >= 2]
        before = [p.detach().clone() for p in weights]
        masks = [
            share_of(
                torch.rand(p.shape, generator=thrown, device=p.device).ge_(self.rate).to(p.dtype).div_(1.0 - self.rate), p
            )
            for p in weights
        ]
        with torch.no_grad():
            for p, mask in zip(weights, masks, strict=True):
                p.mul_(mask)
        try:
            yield
        finally:
            with torch.no_grad():
                for p, old, mask in zip(weights, before, masks, strict=True):
                    p.copy_(old)
                    if p.grad is not None:
                        p.grad.mul_(mask)
