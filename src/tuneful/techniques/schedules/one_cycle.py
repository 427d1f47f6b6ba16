"""One cycle: up to a high rate, then down to almost nothing.

    two phases:    start -> 1 over `rise`, then 1 -> floor
    three phases:  start -> 1 over `rise`, 1 -> start over as long again, then start -> floor
    between two ends a, b at the share x:  cosine  b + (a - b) (1 + cos(pi x)) / 2;          linear  a + (b - a) x

The momentum usually goes the other way: `momentum_schedule=one_cycle momentum_to=0.95` beside `momentum=0.85`.

Source: Smith & Topin 2018, arXiv:1708.07120; two phases by cosines are fastai's form, which torch has taken over.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from tuneful.core.config import Share
from tuneful.techniques.schedules.stated import Span, Stated


class OneCycle(Stated):
    """Short runs at rates that would not do for long ones."""

    source: ClassVar[str] = "Smith & Topin 2018, arXiv:1708.07120"
    cost: ClassVar[str] = "none"

    kind: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[Span, Field(gt=0)] = 0.3  # how long it rises: a share of the run, or steps
    start: Share = 0.04  # factor of the first step
    floor: Share = 4e-6  # what is left at the end, as a share of the peak
    form: Literal["cosine", "linear"] = "cosine"  # the way between two ends
    three_phase: bool = False  # fall as long as it rose, then to almost nothing

    @model_validator(mode="after")
    def _leaves_room(self) -> Any:
        if self.three_phase and 0.5 < self.rise < 1:
            raise ValueError(f"rise is {self.rise:g}; with three_phase it must be in (0, 0.5], as the fall takes as long")
        return self

    def factor(self, step: int, steps: int) -> float:
        """The factor; after the end it stands at the floor. A rise stated in steps takes half of a run at most, or a third
        where there are three phases."""
        rise = self.taken(self.rise, steps, steps)
        if self.rise >= 1:
            rise = min(rise, steps / (3 if self.three_phase else 2))
        if step < rise:
            return self._between(self.start, 1.0, step / rise)
        if not self.three_phase:
            return self._between(1.0, self.floor, min((step - rise) / (steps - rise), 1.0))
        if step < 2 * rise or 2 * rise >= steps:
            return self._between(1.0, self.start, min((step - rise) / rise, 1.0))
        return self._between(self.start, self.floor, min((step - 2 * rise) / (steps - 2 * rise), 1.0))

    def _between(self, a: float, b: float, x: float) -> float:
        if self.form == "linear":
            return a + (b - a) * x
        return b + (a - b) * (1.0 + math.cos(math.pi * x)) / 2.0
