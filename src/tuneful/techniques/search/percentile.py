"""Percentile rule: a trial goes on as long as its best value is among the best share at its length.

Trials pause at checks, `every` share of the full length apart, the first at `first`. One that waits at check c goes on when

    best value of its points up to c  is no worse than  the `keep` quantile of all trials' values at c, the best of which count first

or when fewer than `startup` trials have come so far. Who is furthest goes first, so that a trial that does well is through before
others begin. Which of them waits is asked again each time: when worse ones have come, it may go on after all.

Source: Golovin et al., KDD 2017, section 3.2.1 (the median rule of Vizier); the best value so far and the quantile of values at the same
step are those of Optuna's PercentilePruner.  Unlike there, trials that wait count among those that one is compared with: by those
that came to their end alone, the bar would rise with every trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from tuneful.core.config import Count, Fraction
from tuneful.core.task import Objective
from tuneful.core.trial import Trial
from tuneful.techniques.interfaces import Scheduler, Step
from tuneful.techniques.search.rungs import beyond, by_number, epoch_of, rank, value_at


class Barred(Scheduler):
    """What the rules of any percentile have in common."""

    keep: Annotated[float, Field(gt=0, lt=1)] = 0.25  # the share of trials that goes on from a check
    first: Fraction = 0.1  # the first check, as a share of the full length
    every: Annotated[float, Field(gt=0, le=1)] = 0.1  # from one check to the next, likewise
    startup: Count = 5  # trials that must have come to a check before any waits there

    source: ClassVar[str] = "Golovin et al., KDD 2017, section 3.2.1"
    cost: ClassVar[str] = "one saved state for each paused trial"

    def checks(self, epochs: float) -> tuple[float, ...]:
        """The epochs at which trials pause; the last is the full length."""
        count = int((1 - self.first) / self.every * (1 - 1e-9)) + 1
        return (*(epochs * (self.first + k * self.every) for k in range(count) if self.first + k * self.every > 0), epochs)

    def next(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step:
        checks = self.checks(epochs)
        bars: dict[float, tuple[float, int]] = {}
        waiting = [trial for trial in by_number(trials) if trial.state == "paused"]
        for trial in sorted(waiting, key=lambda one: -epoch_of(one)):
            place = sum(beyond(epoch_of(trial), check) for check in checks)
            if place == len(checks):
                continue
            if not place:
                return Step(trial.number, checks[0], "it has not come to its first check")
            good, said = self._judged(trial, trials, objective, checks[place - 1], bars)
            if good:
                return Step(trial.number, checks[place], f"{said}, so it goes on to {checks[place]:.3g}")
        return Step(None, checks[0], "no waiting trial is good enough to go on")

    def waiting(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> dict[int, str]:
        told = super().waiting(trials, objective, epochs)
        bars: dict[float, tuple[float, int]] = {}
        for trial in trials:
            passed = [check for check in self.checks(epochs) if beyond(epoch_of(trial), check)]
            if trial.number in told and passed:
                told[trial.number] = self._judged(trial, trials, objective, passed[-1], bars)[1]
        return told

    def _judged(
        self, trial: Trial, trials: Sequence[Trial], objective: Objective, check: float, bars: dict[float, tuple[float, int]]
    ) -> tuple[bool, str]:
        """May it go on from a check; and why, in words. bars: those known already, and of how many trials they are."""
        if check not in bars:
            there = [rank(value, objective) for one in trials if (value := value_at(one, check)) is not None]
            known = [value for value in there if np.isfinite(value)]
            enough = len(there) >= self.startup and known
            bars[check] = (float(np.percentile(known, 100 * self.keep)) if enough else math.inf, len(there))
        bar, count = bars[check]
        if math.isinf(bar):
            return True, f"only {count} trials have come to {check:.3g} epochs"
        passed = sum(not beyond(point.epoch, check) for point in trial.curve) + 1
        best = min(rank(point.value.value, objective) for point in trial.curve[:passed])
        among = "the better half" if self.keep == 0.5 else f"the best {self.keep:.0%}"
        return best <= bar, f"{'among' if best <= bar else 'not among'} {among} of {count} at {check:.3g} epochs"


class Percentile(Barred):
    """A trial goes on while it is among the best share at its length."""

    kind: Literal["percentile"] = "percentile"
