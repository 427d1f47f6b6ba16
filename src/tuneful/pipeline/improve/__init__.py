"""Improve: a model that is found is made smaller and faster, by steps that are kept only if proven."""

from __future__ import annotations

import os
from pathlib import Path

from tuneful.core.budget import Budget
from tuneful.core.config import Settings
from tuneful.core.errors import RecipeError, StudyError
from tuneful.pipeline.improve.improving import Improved, Improving
from tuneful.pipeline.improve.words import steps as read
from tuneful.techniques.interfaces import Compressor

LEAST = 30.0  # seconds of a search


def improve(
    run: str | os.PathLike[str] | object, *steps: str | Compressor, goal: str | None = None, budget: str = "5min", keep: str | None = None, take: str = "", prove: bool = True, model: Settings | None = None,
) -> Improved:  # fmt: skip
    """Make the model of a finished run smaller or faster, and prove and ship what is kept.

    Args:
        run: its folder, or the `Result` of `train`, `tune` or `optimize`.
        steps: what to do, in this order: "static_int8", "prune=0.5 epochs=3", or settings objects; none: search among all of them.
        goal: limits such as "latency<1ms,size<200kB", of which the point with the best objective is proven; a search without one
            proves none.
        budget: time for a search.
        keep: what may be lost, such as "accuracy-0.5%"; a step that is not shown to stay within is refused.
        take: the name of a point that an earlier call has found, instead of steps.
        prove: shall the result be proven on the test split and shipped? Else its points are kept, and `take` does it later.
        model: the user's own network, where it cannot be found by its name.

    Raises: StudyError, RecipeError, ModelError, in sentences.
    """
    folder = getattr(run, "folder", run)
    if not isinstance(folder, str | os.PathLike):
        raise StudyError(f"run is {type(run).__name__}; it must be the folder of a run, or the result of one")
    place = Path(folder)
    if not (place / "job.json").is_file():
        raise StudyError(
            f"{place} is not the folder of a run: it holds no job.json", "give the folder that `optimize` named"
        )
    work = Improving(
        place, steps=read(steps), goal=goal, seconds=spend(budget), take=take, keep=keep, prove=prove, model=model
    )
    for _ in work:
        pass
    if work.result is None:
        raise StudyError("improving ended without a result")
    return work.result


def spend(budget: str) -> float:
    """Seconds of a search. Raises RecipeError for a budget that names no time, or too little of it."""
    found = Budget.parse(budget)
    if found.seconds is None or found.trials is not None:
        raise RecipeError(f"the budget is {budget}; a search for smaller models is given a time", "such as --budget 5min")
    if found.seconds < LEAST:
        raise RecipeError(f"the budget is {budget}; it must be {LEAST:g} s or more, since opening the run and proving take most of that",
                          "or name the steps, such as static_int8")  # fmt: skip
    return found.seconds


__all__ = ["Improved", "Improving", "improve", "spend"]
