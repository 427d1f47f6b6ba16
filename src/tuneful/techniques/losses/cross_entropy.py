"""Cross-entropy: the surprise at the true class.

    loss = - sum_l w_l p_l log q_l,   q = softmax(z),  p the target's probabilities (one-hot for a class number)

The mean is over the weight of the targets, sum_l w_l p_l, as torch's own class does for class numbers.
Source: Good, J. R. Stat. Soc. B 14, 1952; Bridle 1990 (softmax).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from tuneful.techniques.interfaces import Loss
from tuneful.techniques.losses.balance import NOTHING, Balance, class_weights, even, flat, mass


class CrossEntropy(Loss):
    """The proper score for classes, also for each place of a sequence."""

    source: ClassVar[str] = "Good, J. R. Stat. Soc. B 14, 1952; Bridle 1990"
    cost: ClassVar[str] = "nothing to speak of"
    classes: ClassVar[bool] = True

    kind: Literal["cross_entropy"] = "cross_entropy"
    balance: Balance = "none"  # "classes": rare classes weigh more, all the same in total

    def prepare(self, target: Tensor, outputs: int) -> Tensor | None:
        return class_weights(target, outputs) if self.balance == "classes" else None

    def weight(self, target: Tensor, prepared: Tensor | None) -> Tensor:
        return mass(target, prepared)

    def each(self, target: Tensor, prepared: Tensor | None) -> float | None:
        return even(target, prepared)

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        return F.cross_entropy(*flat(z, target), weight=prepared, reduction="sum", ignore_index=NOTHING)
