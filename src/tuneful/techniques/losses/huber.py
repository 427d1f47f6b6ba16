"""Huber loss: squared near the goal, absolute far from it.

    loss = (z - y)^2 / 2                    where |z - y| <= delta
           delta (|z - y| - delta / 2)      elsewhere

Source: Huber, Ann. Math. Stat. 35, 1964, p. 79.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from tuneful.core.config import Positive
from tuneful.techniques.interfaces import Loss


class Huber(Loss):
    """For values of which a few are far off."""

    source: ClassVar[str] = "Huber, Ann. Math. Stat. 35, 1964"
    cost: ClassVar[str] = "nothing to speak of"

    kind: Literal["huber"] = "huber"
    delta: Positive = 1.0  # where far begins, in standard deviations of the target

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        return F.huber_loss(z, target, reduction="sum", delta=self.delta)
