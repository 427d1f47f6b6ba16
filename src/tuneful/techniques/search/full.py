"""Every trial runs to its end; none is stopped early. What a search is without a scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from tuneful.core.task import Objective
from tuneful.core.trial import Trial
from tuneful.techniques.interfaces import Scheduler, Step


class Full(Scheduler):
    """Every trial runs to its end; none is stopped early."""

    kind: Literal["full"] = "full"

    source: ClassVar[str] = "none needed"
    cost: ClassVar[str] = "a full training for each trial"

    def next(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step:
        for trial in trials:
            if trial.state == "paused":
                return Step(trial.number, epochs, "it was interrupted")
        return Step(None, epochs, "the one before has ended")
