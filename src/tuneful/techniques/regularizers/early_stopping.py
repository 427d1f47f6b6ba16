"""Early stopping: no improvement for long is taken as none to come.

    a value becomes the best when it is better than the best by more than min_delta, or is the first;
    stop when `patience` values in a row have not

Source: Prechelt, "Early stopping - but when?", 1998, in Neural Networks: Tricks of the Trade.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from tuneful.core.config import Count, NonNegative
from tuneful.techniques.interfaces import Regularizer


class EarlyStopping(Regularizer):
    """Saves the time, and the overfitting, after the best point."""

    source: ClassVar[str] = "Prechelt 1998, Neural Networks: Tricks of the Trade"
    cost: ClassVar[str] = "none; it saves steps"

    kind: Literal["early_stopping"] = "early_stopping"
    patience: Count = 5  # validations without improvement that end the run
    min_delta: NonNegative = 0.0  # smallest improvement that counts, in the metric's unit

    def ends(self, values: Sequence[float], direction: Literal["max", "min"]) -> str:
        """The reason to stop, or "" to go on. A value that is not a number improves nothing; any number improves on it."""
        sign = 1.0 if direction == "max" else -1.0
        best, since = float("nan"), 0
        for value in values:
            if value == value and (best != best or sign * (value - best) > self.min_delta):
                best, since = value, 0
            else:
                since += 1
        if since < self.patience:
            return ""
        if best != best:
            return f"none of the first {since} validations gave a number"
        margin = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return f"no improvement on {best:.6g}{margin} in the last {since} validations"
