"""Linear: the rate falls in a straight line.

    factor = 1 - (1 - floor) done

Source: Defazio et al. 2023, "When, why and how much?", arXiv:2310.07831 (the fall to zero is best or near, on many
problems).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Share
from tuneful.techniques.schedules.warmed import Shaped


class Linear(Shaped):
    """Straight to zero: the best-proven default."""

    source: ClassVar[str] = "Defazio et al. 2023, arXiv:2310.07831"
    cost: ClassVar[str] = "none"

    kind: Literal["linear"] = "linear"
    floor: Share = 0.0  # what is left at the end, as a share of the peak

    def shape(self, done: float) -> float:
        """From 1 to the floor in a straight line."""
        return 1.0 - (1.0 - self.floor) * done
