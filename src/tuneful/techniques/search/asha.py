"""Asynchronous successive halving (ASHA): many trials begin, the best of each rung go on.

Rungs lie at `first`, `first * eta`, `first * eta^2`, ... epochs, the last at the full length. A trial that reaches a rung
pauses there. Whenever something is to be done, the highest rung is looked at first: if one of its best 1/eta trials has not
gone on yet, it does; if no rung has one, a new trial begins. Our pauses are exact (its state is resumed bit by bit), so a
promotion costs only the epochs that are new, and no trial is ever thrown away: with more budget later it may still go on.

Source: Li et al., MLSys 2020, algorithm 2, arXiv:1810.05934.  Unlike there, a promoted trial is never trained anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tuneful.core.config import Fraction
from tuneful.core.task import Objective
from tuneful.core.trial import Trial
from tuneful.techniques.interfaces import Scheduler, Step
from tuneful.techniques.search.rungs import beyond, ordered, rungs


class ASHA(Scheduler):
    """Many trials begin; the best 1/eta of each rung go on."""

    kind: Literal["asha"] = "asha"
    eta: Annotated[int, Field(ge=2)] = 3  # one of this many goes on from a rung
    first: Fraction = 0.03  # the first rung, as a share of the full length

    source: ClassVar[str] = "Li et al., MLSys 2020, arXiv:1810.05934"
    cost: ClassVar[str] = "one saved state for each paused trial"

    def rungs(self, epochs: float) -> tuple[float, ...]:
        """The epochs at which trials pause; the last is the full length."""
        return rungs(self.first, self.eta, epochs)

    def next(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step:
        rungs = self.rungs(epochs)
        for place in range(len(rungs) - 2, -1, -1):
            reached, on = ordered(trials, rungs[place], objective), rungs[place + 1]
            for order, (trial, _) in enumerate(reached[: len(reached) // self.eta], 1):
                if trial.epoch < on and trial.state == "paused" and not beyond(trial.epoch, on):
                    said = f"number {order} of {len(reached)} at {rungs[place]:.3g} epochs, so it goes on to {on:.3g}"
                    return Step(trial.number, on, said)
        return Step(None, rungs[0], "no waiting trial is among the best of its rung")

    def waiting(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> dict[int, str]:
        told = super().waiting(trials, objective, epochs)
        for rung in self.rungs(epochs)[:-1]:
            reached = ordered(trials, rung, objective)
            for order, (trial, _) in enumerate(reached, 1):
                if trial.number in told:
                    best = len(reached) // self.eta
                    told[trial.number] = (
                        f"number {order} of {len(reached)} at {rung:.3g} epochs, of which the best {best} go on"
                    )
        return told
