"""What is kept back for proving and shipping, and whether a larger budget leaves anything to search.

A first run keeps shares and seconds that were measured on many runs (LOG.md); one that was finished before keeps what proving
and shipping took then. Time spent before counts, so a little more may be eaten by starting, proving and shipping alone: then
that is told, with the budget that would do, and nothing is touched.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneful.core.budget import Budget, Clock, span
from tuneful.core.errors import RecipeError, StudyError
from tuneful.core.study import Study
from tuneful.core.trial import Trial

SHIPPING = 8.0  # seconds kept for export, parity and report: measured, LOG.md
PROVING = 0.1  # share of the budget for the baselines, at least 2 and at most 60 seconds
AGAIN = 1.25  # what took so long before may take so much longer
LEAST = 1.0  # seconds of searching that are worth a start, where no trial says how long an epoch takes


def proving(budget: Budget) -> float:
    """Seconds for the baselines and the measures."""
    return 20.0 if budget.seconds is None else min(60.0, max(2.0, PROVING * budget.seconds))


def reserve(budget: Budget, before: Mapping[str, Any] | None = None) -> float:
    """Seconds to keep back. before: the evidence of a run that was finished with a smaller budget."""
    if budget.seconds is None:
        return 0.0
    usual = proving(budget) + min(SHIPPING, budget.seconds / 4)
    took = dict((before or {}).get("took", {}))
    known = [float(took.get(part, 0.0)) for part in ("prove", "ship")]
    return min(usual, AGAIN * sum(known) + 1.0) if all(known) else usual


def worth_going_on(name: str, clock: Clock, trials: tuple[Trial, ...]) -> None:
    """Raises RecipeError when a finished run has been given more time, but too little to search in."""
    if clock.budget.seconds is None:
        return
    epochs = [trial.last.seconds / trial.last.epoch for trial in trials if trial.last and trial.last.epoch > 0]
    least = max(LEAST, min(epochs, default=0.0))
    missing = least - clock.left_for_search
    if missing <= 0:
        return
    starting = clock.spent - clock.earlier
    # Rounded up, to five seconds in the first ten minutes, else to half a minute; and a start is never twice as fast.
    enough = clock.budget.seconds + missing + 0.5 * starting
    step = 5.0 if enough < 600 else 30.0
    raise RecipeError(
        f"a budget of {clock.budget} leaves {name} no time to search: {span(clock.earlier)} were spent before, starting took "
        f"{span(starting)}, and proving and shipping take about {span(clock.reserve)}; what was found before stands as it is",
        f"give at least --budget {span(math.ceil(enough / step) * step).replace(' ', '')}; more than that finds more",
    )


def proven(study: Study, folder: Path) -> dict[str, Any] | None:
    """The evidence of a run that was finished before; None when it never was. Raises StudyError when it is damaged."""
    path = folder / "evidence.json"
    if study.about.get("finished") is None or not path.exists():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise StudyError(
            f"{path} is damaged ({error})", "delete it and run the same command: the model is proven anew"
        ) from None


def done_with(study: Study, budget: Budget) -> bool:
    """Was it finished with this budget, or with a larger one?"""
    old = Budget.parse(str(study.about["finished"]))
    more_time = old.seconds is not None and (budget.seconds is None or budget.seconds > old.seconds)
    more_trials = old.trials is not None and (budget.trials is None or budget.trials > old.trials)
    return not more_time and not more_trials
