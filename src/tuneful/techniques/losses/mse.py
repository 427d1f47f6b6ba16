"""Squared error: the mean is what makes it smallest.

    loss = (z - y)^2, of standardized targets; the mean is over all numbers

Source: Legendre 1805; Gauss 1809.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from tuneful.techniques.interfaces import Loss


class MSE(Loss):
    """For values whose noise is even; far outliers pull hard."""

    source: ClassVar[str] = "Legendre 1805; Gauss 1809"
    cost: ClassVar[str] = "nothing to speak of"

    kind: Literal["mse"] = "mse"

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        return F.mse_loss(z, target, reduction="sum")
