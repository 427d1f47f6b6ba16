"""Smoothed cross-entropy: a small share of the truth is spread over all tokens.

    loss = - (1 - a) log q_l - a / L sum_k log q_k,   q = softmax(z),  l the true one of L

A model that is told to be entirely sure of one word among thousands, of which several would do, learns to be too sure. Places
without a target are left out before anything is computed, so what fills up costs nothing.

Source: Szegedy et al., CVPR 2016, section 7, arXiv:1512.00567; for translation Vaswani et al., NeurIPS 2017, arXiv:1706.03762.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from tuneful.core.config import Fraction
from tuneful.techniques.interfaces import Loss
from tuneful.techniques.losses.balance import NOTHING, flat, mass


class SmoothedCrossEntropy(Loss):
    """For each place of a sequence, where probabilities of all classes as targets would take much memory."""

    source: ClassVar[str] = "Szegedy et al., CVPR 2016, arXiv:1512.00567"
    cost: ClassVar[str] = "one more sum over the outputs"
    classes: ClassVar[bool] = True

    kind: Literal["smoothed_cross_entropy"] = "smoothed_cross_entropy"
    amount: Fraction = 0.1  # a, the share that is spread

    def weight(self, target: Tensor, prepared: Tensor | None) -> Tensor:
        return mass(target, None)

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        z, target = flat(z, target)
        if target.is_floating_point():
            return F.cross_entropy(z, target, label_smoothing=self.amount, reduction="sum")
        there = (target != NOTHING).nonzero().squeeze(-1)
        return F.cross_entropy(
            z.index_select(0, there), target.index_select(0, there), label_smoothing=self.amount, reduction="sum"
        )
