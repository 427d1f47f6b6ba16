"""A run that takes another course from where it is: a longer one, or a cooldown that leaves it.

    short = branch(run, cooldown=0.2)      # cools down now; the run itself may go on
    long = lengthened(run, epochs=40)      # the same run with a larger budget

Both are new runs that begin with a copy of everything that the run is. Under wsd, with its warm-up stated in steps, they are to
the bit what a run of their length would have been from its first step on, since a stable part does not know how long it is;
under other schedules a longer run goes on where the longer schedule is.

Source: Haegele et al., NeurIPS 2024, section 3, arXiv:2405.18392 (one long run and its cooldowns for runs of all lengths).
"""

from __future__ import annotations

from typing import Any

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import SIDES, Recipe
from tuneful.pipeline.train import Run
from tuneful.techniques.schedules import WSD


def branch(run: Run, cooldown: float = 0.2) -> Run:
    """The run as it would be if it were to end soon: from its step on it cools down, by its own wsd schedule.

    cooldown: the share of the branch's whole length, in (0, 1), or a number of steps.

    Raises RecipeError where the run has another schedule, where its own cooldown has begun or its warm-up has not ended, and
    where its momentum, decay or batch size have schedules: of a shorter run they would have been others so far.
    """
    recipe: Any = run.recipe
    schedule = recipe.schedule
    if not isinstance(schedule, WSD):
        raise RecipeError(f"a branch cools down from a stable part; schedule={schedule.kind} has none", "take schedule=wsd")
    _refuse_sides(recipe)
    warm, stable = schedule.rising(run.steps), run.steps - schedule.fall(run.steps)
    if not warm <= run.step <= stable:
        raise RecipeError(f"a branch leaves between steps {warm} and {stable:g}; the run is at step {run.step}")
    if not (0 < cooldown < 1 or (cooldown >= 1 and cooldown == int(cooldown))):
        raise RecipeError(f"cooldown is {cooldown:g}; it must be a share in (0, 1), or a whole number of steps")
    fall = int(cooldown) if cooldown >= 1 else max(1, round(run.step * cooldown / (1.0 - cooldown)))
    steps = run.step + fall
    # Steps of a run of `length` steps, which it has: they are taken as they are, by no rule for runs that are too short.
    course = schedule.replace(warmup=float(warm), cooldown=float(fall), length=steps)
    return _copied(run, run.recipe.replace(schedule=course, epochs=steps / run.batches.per_epoch))


def lengthened(run: Run, epochs: float) -> Run:
    """The run with so many epochs to do in all; its schedule is stretched over them. Raises RecipeError where it has done more."""
    _refuse_sides(run.recipe)
    if epochs < run.epoch:
        raise RecipeError(f"epochs is {epochs:g}, but the run has done {run.epoch:g} already")
    return _copied(run, run.recipe.replace(epochs=float(epochs)))


def _refuse_sides(recipe: Recipe) -> None:
    if moving := [side for side in SIDES if getattr(recipe, side) != "none"]:
        raise RecipeError(
            f"{moving[0]} follows the length of the run, which would change under way", f"leave {moving[0]} out"
        )


def _copied(run: Run, recipe: Recipe) -> Run:
    new = Run(run.task, recipe, device=str(run.device), halt=run.halt)
    tensors, plain = run.state()
    new.put({name: tensor.clone() for name, tensor in tensors.items()}, {**plain, "ended": ""}, "the run")
    return new
