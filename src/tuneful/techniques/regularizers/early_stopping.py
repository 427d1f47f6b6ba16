"""Early stopping: no improvement for long is taken as none to come.

    a value becomes the best when it is better than the best by more than min_delta, or is the first;
    stop when `patience` values in a row have not

The values are measures. min_delta="interval" asks that one lies beyond the end of the best one's interval: what is within noise is
no improvement. Steps that are small but go on add up, since the best stays where it was until one of them counts. All are measured
on the same examples, so that the interval of one is wider than that of a difference: it stops early rather than late.

Source: Prechelt, "Early stopping - but when?", 1998, in Neural Networks: Tricks of the Trade.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from tuneful.core.config import Count, NonNegative
from tuneful.core.measure import Measure
from tuneful.techniques.interfaces import Regularizer


class EarlyStopping(Regularizer):
    """Saves the time, and the overfitting, after the best point."""

    source: ClassVar[str] = "Prechelt 1998, Neural Networks: Tricks of the Trade"
    cost: ClassVar[str] = "none; it saves steps"

    kind: Literal["early_stopping"] = "early_stopping"
    patience: Count = 5  # validations without improvement that end the run
    min_delta: NonNegative | Literal["interval"] = 0.0  # least improvement that counts; interval: beyond the best's noise

    def ends(self, values: Sequence[Measure], direction: Literal["max", "min"]) -> str:
        """The reason to stop, or "" to go on. A value that is not a number improves nothing; any number improves on it."""
        sign = 1.0 if direction == "max" else -1.0
        best: Measure | None = None
        since = 0
        for measure in values:
            if measure.value == measure.value and (
                best is None or sign * (measure.value - best.value) > self._least(best, sign)
            ):
                best, since = measure, 0
            else:
                since += 1
        if since < self.patience:
            return ""
        if best is None:
            return f"none of the first {since} validations gave a number"
        if self.min_delta == "interval":
            return f"no improvement on {best.value:.6g} beyond its interval [{best.low:.6g}, {best.high:.6g}] in the last {since} validations"
        margin = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return f"no improvement on {best.value:.6g}{margin} in the last {since} validations"

    def _least(self, best: Measure, sign: float) -> float:
        """What an improvement on this measure has to exceed; 0 where its interval is not known."""
        if self.min_delta != "interval":
            return self.min_delta
        reach = sign * ((best.high if sign > 0 else best.low) - best.value)
        return reach if reach == reach else 0.0
