"""Who may be joined: networks that a search still holds, and what each says of valid.

After a confirmation the fresh runs of its candidates: nobody chose them by what they say of valid, and they have said it. Without one the best
trials of the search itself, those that wait at a rung too: their averaged weights are networks like any other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tuneful.core.errors import ModelError, StateError
from tuneful.core.trial import Trial
from tuneful.pipeline import judge
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.confirm import Confirmation
from tuneful.pipeline.joining.greedy import Floats
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import Search

MOST = 10  # trials of the search


@dataclass(frozen=True)
class Member:
    """A network of a trial. run: 0, its own in the study, or that of the fresh seed 1, 2, ...; answers [N, ...]: to valid."""

    trial: int
    run: int
    answers: Floats


def gathered(again: Confirmation, search: Search) -> list[Member]:
    """All of them, by trial and run."""
    if fresh := again.answers():
        return [Member(number, run, answers) for (number, run), answers in sorted(fresh.items())]
    found: list[Member] = []
    for trial in _best(search):
        if (made := _own(again, search, trial)) is not None:
            answers = judge.predict(made.network, search.task.valid.x, kind=search.task.kind)
            found += [Member(trial.number, 0, answers)] if np.isfinite(answers).all() else []
    return sorted(found, key=lambda one: one.trial)


def _best(search: Search) -> list[Trial]:
    sign = 1.0 if search.task.objective.direction == "max" else -1.0
    able = [t for t in search.study.trials() if t.state != "failed" and t.last and math.isfinite(t.last.value.value)]
    able.sort(key=lambda t: (-sign * (t.last.value.value if t.last else 0.0), t.number))
    return able[:MOST]


def _own(again: Confirmation, search: Search, trial: Trial) -> Candidate | None:
    """The network of a trial as the search left it; None where its weights were thrown away."""
    search.legs.fetch(trial.number)
    path = again.path(trial.number, 0)
    try:
        return Run.resume(search.task, path, model=search.legs.model, device=search.legs.device).candidate()
    except (StateError, ModelError):
        return None


__all__ = ["Member", "gathered"]
