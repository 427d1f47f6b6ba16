"""Plateau: the rate falls when the objective stands still.

    a value is an improvement when it beats the best by the threshold:
        relative  v < best (1 - threshold)          absolute  v < best - threshold          (for "min"; "max" is its mirror)
    after more than `patience` values in a row without:  factor = max(gamma factor, floor), then `cooldown` values are not counted

It looks at the values of the objective on valid, one a validation. They are part of a run's curve, so a run that is resumed
decides as it would have.

Source: the practice of He et al., CVPR 2016, section 3.4; in the form of torch's ReduceLROnPlateau.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from tuneful.core.config import NonNegative, Share, Whole
from tuneful.techniques.schedules.stated import OpenShare
from tuneful.techniques.schedules.warmed import Warmed


class Plateau(Warmed):
    """Needs no length; reacts to what is seen, late and by noise too."""

    source: ClassVar[str] = "He et al., CVPR 2016, section 3.4, arXiv:1512.03385"
    cost: ClassVar[str] = "none"

    kind: Literal["plateau"] = "plateau"
    gamma: OpenShare = 0.1  # what a fall leaves of the rate
    patience: Whole = 10  # validations without improvement that are borne
    threshold: NonNegative = 1e-4  # smallest improvement that counts
    threshold_mode: Literal["relative", "absolute"] = "relative"  # to the best so far, or in the metric's unit
    cooldown: Whole = 0  # validations after a fall that are not counted
    floor: Share = 0.0  # the rate does not fall below this share of the peak

    def after(self, step: int, left: int, steps: int) -> float:
        """1: what makes it fall are the values."""
        return 1.0

    def reaction(self, values: Sequence[float], direction: Literal["max", "min"]) -> float:
        """The product of all falls so far. A value that is not a number improves nothing."""
        factor, best, bad, calm = 1.0, math.nan, 0, 0
        for value in values:
            if self._improves(value, best, direction):
                best, bad = value, 0
            else:
                bad += 1
            if calm:
                calm, bad = calm - 1, 0
            if bad > self.patience:
                factor, calm, bad = max(factor * self.gamma, self.floor), self.cooldown, 0
        return factor

    def _improves(self, value: float, best: float, direction: str) -> bool:
        if math.isnan(value) or math.isnan(best):
            return not math.isnan(value)
        sign = 1.0 if direction == "max" else -1.0
        if self.threshold_mode == "relative":
            return sign * value > sign * best * (1.0 + sign * self.threshold)
        return sign * value > sign * best + self.threshold
