"""Cumulative logits: is the level above the first, above the second, ...? For levels that have an order.

    P(y > k) = sigmoid(a_k),   a_0 = z_0,  a_k = a_(k-1) - softplus(z_k)        k = 0 .. L-2
    loss = - sum_k  w_y [y > k] log P(y > k) + w_y [y <= k] log (1 - P(y > k))

The steps down are positive, so that a higher level is never more probable to be passed than a lower one. The steps may depend
on x (in the proportional odds model they do not).
Source: McCullagh, J. R. Stat. Soc. B 42, 1980, section 2; the sum over the questions: Cao, Mirjalili & Raschka, Pattern
Recognition Letters 140, 2020, eq. 5, arXiv:1901.07884.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tuneful.techniques.interfaces import Loss
from tuneful.techniques.losses.balance import Balance, class_weights


def falling(z: Tensor) -> Tensor:
    """Logits a [B, L-1] of passing each level, in falling order, from what the network gives."""
    return torch.cat([z[:, :1], z[:, :1] - F.softplus(z[:, 1:]).cumsum(dim=1)], dim=1)


def rising(a: Tensor) -> Tensor:
    """The inverse of `falling`; steps below 1e-6 count as that."""
    steps = (a[:, :-1] - a[:, 1:]).clamp(min=1e-6)
    return torch.cat([a[:, :1], steps + torch.log(-torch.expm1(-steps))], dim=1)


def levels(z: Tensor) -> Tensor:
    """Probabilities [B, L] of each level, from what the network gives; rows sum to 1."""
    above = torch.sigmoid(falling(z))
    return torch.cat([1 - above[:, :1], above[:, :-1] - above[:, 1:], above[:, -1:]], dim=1)


class Cumulative(Loss):
    """For grades, ranks and scores of a few levels: a far miss costs more than a near one."""

    source: ClassVar[str] = "McCullagh, J. R. Stat. Soc. B 42, 1980; Cao et al. 2020, arXiv:1901.07884"
    cost: ClassVar[str] = "nothing to speak of"

    kind: Literal["cumulative"] = "cumulative"
    balance: Balance = "none"  # "classes": rare levels weigh more, all the same in total

    def prepare(self, target: Tensor, outputs: int) -> Tensor | None:
        return class_weights(target, outputs + 1) if self.balance == "classes" else None

    def weight(self, target: Tensor, prepared: Tensor | None) -> Tensor:
        return self._each(target, prepared).sum()

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        a = falling(z)
        above = (target.unsqueeze(1) > torch.arange(z.shape[1], device=z.device)).to(z.dtype)
        asked = F.binary_cross_entropy_with_logits(a, above, reduction="none").sum(dim=1)
        return (asked * self._each(target, prepared).to(z.dtype)).sum()

    def _each(self, target: Tensor, prepared: Tensor | None) -> Tensor:
        there = (target >= 0).float()
        return there if prepared is None else there * prepared.index_select(0, target.clamp(min=0))
