"""Binary cross-entropy: the surprise at each label, of which an example may bear several.

    loss = - sum_l  w1_l y_l log q_l + w0_l (1 - y_l) log (1 - q_l),   q = sigmoid(z),  y_l is 1 or 0 (or between)

The mean is over the weight of the labels that are known; a target below 0 is not known and weighs nothing. Balanced, the
examples with and without a label weigh the same in total: w1_l = N / (2 n_l), w0_l = N / (2 (N - n_l)), n_l of N have it.
Source: Good, J. R. Stat. Soc. B 14, 1952; weights: King & Zeng, Political Analysis 9, 2001.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tuneful.techniques.interfaces import Loss


class BinaryCrossEntropy(Loss):
    """The proper score for labels that do not exclude one another."""

    source: ClassVar[str] = "Good, J. R. Stat. Soc. B 14, 1952"
    cost: ClassVar[str] = "nothing to speak of"

    kind: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    balance: Literal["none", "labels"] = "none"  # "labels": with and without a label weigh the same in total

    def prepare(self, target: Tensor, outputs: int) -> Tensor | None:
        """Weights [2, L]: of not having a label, and of having it; 1 where all or none of train have it."""
        if self.balance == "none":
            return None
        known = target >= 0
        have, total = (target.clamp(min=0) * known).double().sum(dim=0), known.double().sum(dim=0)
        sides = torch.stack([total - have, have])
        return torch.where(sides.min(dim=0).values > 0, total / (2 * sides.clamp(min=1)), 1.0).float()

    def weight(self, target: Tensor, prepared: Tensor | None) -> Tensor:
        without, have = self._sides(target, prepared)
        return (without + have).sum()

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        without, have = self._sides(target.to(z.dtype), prepared)
        return (have * F.softplus(-z) + without * F.softplus(z)).sum()

    def _sides(self, target: Tensor, prepared: Tensor | None) -> tuple[Tensor, Tensor]:
        """How much each label weighs as one that is absent, and as one that is there."""
        known, y = target >= 0, target.clamp(min=0)
        without, have = known * (1 - y), known * y
        return (without, have) if prepared is None else (prepared[0].to(y.dtype) * without, prepared[1].to(y.dtype) * have)
