"""The last part of a search whose trainings are too long to be run again: the best few trials go on to their full length.

What was kept for confirming would be lost otherwise. One more new trial at its first rung seldom becomes the best; several good networks at
their full length are what an ensemble is made of, and a wider choice for who takes one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from tuneful.core.config import Count
from tuneful.core.study import Study
from tuneful.core.task import Objective
from tuneful.core.trial import Trial
from tuneful.techniques.interfaces import Scheduler, Step
from tuneful.techniques.search import PBT

KEY = "ending"  # what a study remembers while it is so


class Ending(Scheduler):
    """First the best `many` to their full length, then what the scheduler of the search says."""

    kind: Literal["ending"] = "ending"
    inner: Any  # the scheduler of the search
    many: Count = 5  # trials that are brought to their full length

    source: ClassVar[str] = "none needed"
    cost: ClassVar[str] = "what is left of so many trainings"

    def next(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step | None:
        sign = 1.0 if objective.direction == "max" else -1.0
        rated = [t for t in trials if t.state != "failed" and t.last and math.isfinite(t.last.value.value)]
        rated.sort(key=lambda t: (-sign * (t.last.value.value if t.last else 0.0), t.number))
        for trial in rated[: self.many]:
            if trial.state == "paused":
                return Step(trial.number, epochs, "one of the best few goes on to its full length, to be joined or chosen")
        return self.inner.next(trials, objective, epochs)

    def waiting(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> dict[int, str]:
        return self.inner.waiting(trials, objective, epochs)


def ending(study: Study, scheduler: Scheduler) -> Scheduler:
    """The scheduler of a search, or of its last part where the study is in it. A population has no full lengths to go on to."""
    return Ending(inner=scheduler) if study.about.get(KEY) and not isinstance(scheduler, PBT) else scheduler


__all__ = ["KEY", "Ending", "ending"]
