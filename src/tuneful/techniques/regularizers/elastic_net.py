"""Elastic net: both pulls at once, the constant and the proportional one.

    loss += strength (l1_share sum |w| + (1 - l1_share) / 2 sum w^2)
    proximal: nothing is added to the gradient; after the step  w = soft(w, lr a) / (1 + lr b),
        soft(w, c) = sign(w) max(|w| - c, 0),   a = strength l1_share,   b = strength (1 - l1_share)

Weights of two axes or more; biases and norms are free.

Source: Zou & Hastie, J. R. Stat. Soc. B 67, 2005; the proximal step: Parikh & Boyd, Proximal Algorithms, 2014, section 6.5.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import nn

from tuneful.core.config import NonNegative, Share
from tuneful.techniques.interfaces import Regularizer
from tuneful.techniques.regularizers.l1 import soft_


class ElasticNet(Regularizer):
    """Few weights, and none of them large: of weights that do the same it keeps all."""

    source: ClassVar[str] = "Zou & Hastie, J. R. Stat. Soc. B 67, 2005"
    cost: ClassVar[str] = "three passes over the weights a step, and one temporary copy of a weight"

    kind: Literal["elastic_net"] = "elastic_net"
    strength: NonNegative = 1e-5  # weight of the penalty in the loss
    l1_share: Share = 0.5  # share of the constant pull
    proximal: bool = False  # after the step, with weights that become exactly zero

    @torch.no_grad()
    def penalize_(self, params: Sequence[nn.Parameter]) -> None:
        """Add the gradient of both penalties."""
        for p in params:
            if p.grad is not None and p.ndim >= 2 and not self.proximal:
                p.grad.add_(p.sign(), alpha=self.strength * self.l1_share)
                p.grad.add_(p, alpha=self.strength * (1.0 - self.l1_share))

    @torch.no_grad()
    def settle_(self, params: Sequence[nn.Parameter], lr: float) -> None:
        """The proximal step."""
        for p in params:
            if p.ndim >= 2 and self.proximal:
                soft_(p, lr * self.strength * self.l1_share)
                p.div_(1.0 + lr * self.strength * (1.0 - self.l1_share))
