"""Cosine: a slow start, a fast middle and a slow end.

    factor = floor + (1 - floor) (1 + cos(pi done)) / 2

One half wave, without restarts, and clamped: after the end the rate stays at the floor (a bare cosine would rise again).

Source: Loshchilov & Hutter, ICLR 2017, eq. 5, arXiv:1608.03983.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from tuneful.core.config import Share
from tuneful.techniques.schedules.warmed import Shaped


class Cosine(Shaped):
    """Half a cosine wave."""

    source: ClassVar[str] = "Loshchilov & Hutter, ICLR 2017, arXiv:1608.03983"
    cost: ClassVar[str] = "none"

    kind: Literal["cosine"] = "cosine"
    floor: Share = 0.0  # what is left at the end, as a share of the peak

    def shape(self, done: float) -> float:
        """From 1 to the floor along a cosine."""
        return self.floor + (1.0 - self.floor) * (1.0 + math.cos(math.pi * done)) / 2.0
