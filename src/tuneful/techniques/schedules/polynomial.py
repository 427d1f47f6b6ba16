"""Polynomial: a power of what remains of the run.

    factor = floor + (1 - floor) (1 - done)^power

Source: Chen et al., DeepLab, TPAMI 2018, section 4.1, arXiv:1606.00915 ("poly", power 0.9).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Positive, Share
from tuneful.techniques.schedules.warmed import Shaped


class Polynomial(Shaped):
    """Bent towards an early fall (power above 1) or a late one (below)."""

    source: ClassVar[str] = "Chen et al., DeepLab, TPAMI 2018, section 4.1, arXiv:1606.00915"
    cost: ClassVar[str] = "none"

    kind: Literal["polynomial"] = "polynomial"
    power: Positive = 0.9  # 1 is a straight line
    floor: Share = 0.0  # what is left at the end, as a share of the peak

    def shape(self, done: float) -> float:
        """From 1 to the floor along a power."""
        return self.floor + (1.0 - self.floor) * (1.0 - done) ** self.power
