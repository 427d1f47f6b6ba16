"""Improve: a model that is found is made smaller and faster, by steps that are kept only if proven."""

from __future__ import annotations

import os
from pathlib import Path

from tuneful.core.config import Settings
from tuneful.core.errors import StudyError
from tuneful.pipeline.improve.improving import Improved, Improving
from tuneful.pipeline.improve.words import steps as read
from tuneful.techniques.interfaces import Compressor


def improve(
    run: str | os.PathLike[str] | object, *steps: str | Compressor, keep: str | None = None, take: str = "", prove: bool = True, model: Settings | None = None,
) -> Improved:  # fmt: skip
    """Make the model of a finished run smaller or faster, and prove and ship what is kept.

    Args:
        run: its folder, or the `Result` of `train`, `tune` or `optimize`.
        steps: what to do, in this order: "static_int8", "prune=0.5 epochs=3", or settings objects.
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
    work = Improving(place, steps=read(steps), take=take, keep=keep, prove=prove, model=model)
    for _ in work:
        pass
    if work.result is None:
        raise StudyError("improving ended without a result")
    return work.result


__all__ = ["Improved", "Improving", "improve"]
