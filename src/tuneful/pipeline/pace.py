"""How fast a recipe trains and predicts here, from a few steps that are thrown away; and what of it fits into the time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from tuneful.core.budget import Clock, span
from tuneful.core.recipe import Recipe
from tuneful.core.space import Range, Space
from tuneful.core.task import Task
from tuneful.pipeline import defaults, judge
from tuneful.pipeline.goals import form
from tuneful.pipeline.pair_defaults import NARROWEST as NARROWEST_WRITER
from tuneful.pipeline.pair_defaults import RUNS
from tuneful.pipeline.plans import Plans
from tuneful.pipeline.step import arithmetic
from tuneful.pipeline.train import Run

WARM = 2  # steps before the clock starts: the first are slow
SAMPLE = 256  # examples that are predicted
FULL_RUNS = 8  # so many full trainings should fit into the time for searching,
FEW_RUNS = 1.4  # or so many, where a training would have fewer than ten epochs
ENOUGH = 4.0  # epochs that must be affordable in all; a network that tuneful chose is made narrower until they are,
NARROWEST = 8  # but no narrower than this
SHIPPED, SHIPPED_IMAGES = 1024, 128  # examples that shipping predicts; few where each pixel has an answer
WIDTH = "model.width"


@dataclass(frozen=True)
class Pace:
    """Seconds. step: one optimizer step; example: predicting one example; epoch: all steps of one, and its validation."""

    step: float
    example: float
    epoch: float


def measure_pace(task: Task, recipe: Recipe, seconds: float, device: str | None = None, plans: Plans | None = None) -> Pace:
    """The pace of a resolved recipe. It takes about `seconds`, and at least three steps; twice as much may go into its plan, where plans are kept.

    Raises what making and training the network raises.
    """
    run = Run(task, recipe, device=device)
    if plans is not None:
        plans.of(run, most=2 * seconds)
    run.timed(WARM, 0.0)
    step = run.timed(1, seconds / 2)
    shown = task.valid.x[:SAMPLE]
    with arithmetic(run.execution.threads):  # as validating and proving do it
        began = time.perf_counter()
        judge.predict(run.readout, shown[:2], kind=task.kind)
        warm = time.perf_counter()
        example = (warm - began) / min(2, len(shown))
        if warm - began < seconds:  # otherwise two have to be enough
            judge.predict(run.readout, shown, kind=task.kind)
            example = (time.perf_counter() - warm) / len(shown)
    epoch = step * run.batches.per_epoch + example * len(task.valid) / float(recipe.validate_every)
    return Pace(step, example, epoch)


def fitted(task: Task, recipe: Recipe, clock: Clock, *, free_width: bool, device: str | None = None,
           plans: Plans | None = None) -> Recipe:  # fmt: skip
    """The recipe without "auto", such that a training or several fit into the time for searching (see `_length`): threads and epochs from what
    is measured here, and a narrower network where the one of choice could not even be trained for a few epochs.

    free_width: nobody said how wide the network is. `clock.reserve` grows by the time for which the network will have to predict when it is proven.
    """
    before, narrowest = clock.reserve, NARROWEST_WRITER if form(task).causal else NARROWEST
    while True:
        resolved, pace = _with_threads(task, recipe, 0.01 * clock.left, device, plans)
        # Proving looks at every example of valid and test, shipping at some; a last validation may begin at the end.
        more = (
            1.1
            * pace.example
            * (2 * len(task.valid) + len(task.test) + (SHIPPED if task.kind != "segmentation" else SHIPPED_IMAGES))
        )
        clock.reserve = min(before + more, max(0.0, clock.left / 2))  # half of the time goes to the search in any case
        affordable = clock.left_for_search / pace.epoch
        width = getattr(resolved.model, "width", 0)
        if affordable >= ENOUGH or not free_width or width < 2 * narrowest:
            break
        why = f"wider ones leave time for {affordable:.2g} epochs in all: an epoch takes {span(pace.epoch)} at width {width}"
        recipe = recipe.replace(model=resolved.model).replace(WIDTH, width // 2).because(WIDTH, why)
        if "model" in resolved.reasons:
            recipe = recipe.because("model", resolved.reasons["model"])
    epochs = _length(affordable, defaults.patient(task), RUNS if form(task).causal else FEW_RUNS)
    if epochs >= float(resolved.epochs):
        return resolved
    why = f"an epoch takes {span(pace.epoch)}, and the time for searching is worth {affordable:.3g} of them"
    shorter = recipe.replace(epochs=epochs, threads=resolved.threads).because("epochs", why)
    if "threads" in resolved.reasons:
        shorter = shorter.because("threads", resolved.reasons["threads"])
    return defaults.resolve(shorter, task)


def narrowed(space: Space, recipe: Recipe) -> Space:
    """The space whose dial for the width follows a network that `fitted` has made narrower: from half to twice its width."""
    if WIDTH not in recipe.reasons:
        return space
    width = int(recipe.get(WIDTH))
    around = Range(width // 2, 2 * width, integer=True)
    dials = tuple(replace(dial, range=around) if dial.path == WIDTH else dial for dial in space)
    return replace(space, dials=dials)


def _with_threads(
    task: Task, recipe: Recipe, seconds: float, device: str | None, plans: Plans | None
) -> tuple[Recipe, Pace]:
    """The recipe resolved, with one thread where that is measured to be faster than all, and its pace."""
    resolved = defaults.resolve(recipe, task)
    pace = measure_pace(task, resolved, seconds, device, plans)
    if recipe.threads == "auto" and int(resolved.threads) > 1:
        alone = resolved.replace("threads", 1)
        if (one := measure_pace(task, alone, seconds, device, plans)).epoch < pace.epoch:
            why = f"an epoch takes {span(one.epoch)} with one thread and {span(pace.epoch)} with {resolved.threads}"
            return alone.because("threads", why), one
    return resolved, pace


def _length(affordable: float, patient: bool = False, runs: float = FEW_RUNS) -> float:
    """Epochs of a full training when so many epochs are affordable in all: an eighth, or up to ten where that were fewer.

    patient: few long runs are worth more than many short ones here; runs: so many of them should fit then.
    """
    most = math.inf if patient else 10.0
    return float(max(1, int(max(affordable / FULL_RUNS, min(most, affordable / runs)))))
