"""Absolute error: the median is what makes it smallest.

    loss = |z - y|, of standardized targets; the mean is over all numbers

Source: Laplace, Memoires de l'Academie royale des sciences de Paris 6, 1774.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from tuneful.techniques.interfaces import Loss


class MAE(Loss):
    """For values with outliers, when it is the absolute error that counts."""

    source: ClassVar[str] = "Laplace 1774"
    cost: ClassVar[str] = "nothing to speak of; its gradient does not shrink near the goal, so the rate must fall"

    kind: Literal["mae"] = "mae"

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        return F.l1_loss(z, target, reduction="sum")
