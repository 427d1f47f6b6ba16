"""How fast a recipe trains and predicts here, from a few steps that are thrown away."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.train import Run

WARM = 2  # steps before the clock starts: the first are slow
SAMPLE = 256  # examples that are predicted


@dataclass(frozen=True)
class Pace:
    """Seconds. step: one optimizer step; example: predicting one example; epoch: all steps of one, and its validation."""

    step: float
    example: float
    epoch: float


def measure_pace(task: Task, recipe: Recipe, seconds: float, device: str | None = None) -> Pace:
    """The pace of a resolved recipe. It takes about `seconds`, and at least three steps.

    Raises what making and training the network raises.
    """
    run = Run(task, recipe, device=device)
    run.timed(WARM, 0.0)
    step = run.timed(1, seconds / 2)
    began = time.perf_counter()
    shown = task.valid.x[:SAMPLE]
    judge.predict(run.readout, shown[:2])
    warm = time.perf_counter()
    example = (warm - began) / min(2, len(shown))
    if warm - began < seconds:  # otherwise two have to be enough
        judge.predict(run.readout, shown)
        example = (time.perf_counter() - warm) / len(shown)
    epoch = step * run.batches.per_epoch + example * len(task.valid) / float(recipe.validate_every)
    return Pace(step, example, epoch)
