"""Asynchronous successive halving (ASHA): many trials begin, the best of each rung go on.

Rungs lie at `first`, `first * eta`, `first * eta^2`, ... epochs, the last at the full length. A trial that reaches a rung
pauses there. Whenever something is to be done, the highest rung is looked at first: if one of its best 1/eta trials has not
gone on yet, it does; if no rung has one, a new trial begins. Our pauses are exact (its state is resumed bit by bit), so a
promotion costs only the epochs that are new, and no trial is ever thrown away: with more budget later it may still go on.

Source: Li et al., MLSys 2020, algorithm 2, arXiv:1810.05934.  Unlike there, a promoted trial is never trained anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tuneful.core.config import Fraction
from tuneful.core.task import Objective
from tuneful.core.trial import Trial
from tuneful.techniques.interfaces import Scheduler, Step


class ASHA(Scheduler):
    """Many trials begin; the best 1/eta of each rung go on."""

    kind: Literal["asha"] = "asha"
    eta: Annotated[int, Field(ge=2)] = 3  # one of this many goes on from a rung
    first: Fraction = 0.1  # the first rung, as a share of the full length

    source: ClassVar[str] = "Li et al., MLSys 2020, arXiv:1810.05934"
    cost: ClassVar[str] = "one saved state for each paused trial"

    def rungs(self, epochs: float) -> tuple[float, ...]:
        """The epochs at which trials pause; the last is the full length."""
        first = self.first * epochs if self.first > 0 else epochs
        count = max(0, math.floor(math.log(epochs / first, self.eta) + 1e-9)) if first < epochs else 0
        lower = [epochs / self.eta**k for k in range(count, 0, -1)]
        return (*lower, epochs)

    def next(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step:
        rungs = self.rungs(epochs)
        for place in range(len(rungs) - 2, -1, -1):
            reached = [(trial, value) for trial in trials if (value := value_at(trial, rungs[place])) is not None]
            reached.sort(key=lambda pair: _rank(pair[1], objective))
            best = reached[: len(reached) // self.eta]
            for order, (trial, _) in enumerate(best, 1):
                if trial.state == "paused" and trial.last is not None and not _beyond(trial.last.epoch, rungs[place + 1]):
                    said = f"number {order} of {len(reached)} at {rungs[place]:.3g} epochs, so it goes on to {rungs[place + 1]:.3g}"
                    return Step(trial.number, rungs[place + 1], said)
        return Step(None, rungs[0], "no waiting trial is among the best of its rung")


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


def value_at(trial: Trial, rung: float) -> float | None:
    """The value at the first point at or beyond a rung; None before that. A failed trial has none."""
    if trial.state == "failed":
        return None
    return next((point.value.value for point in trial.curve if _beyond(point.epoch, rung)), None)


def _beyond(epoch: float, rung: float) -> bool:
    return epoch >= rung * (1 - 1e-6) - 1e-9


def _rank(value: float, objective: Objective) -> float:
    if value != value:
        return math.inf
    return -value if objective.direction == "max" else value
