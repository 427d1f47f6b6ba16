"""What a job comes to for its data and its clock: the recipe that leaves nothing open, and the space that is searched around it."""

from __future__ import annotations

import json
from collections.abc import Callable

from tuneful.core.budget import Clock
from tuneful.core.recipe import Recipe
from tuneful.core.space import Space
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.pipeline import defaults
from tuneful.pipeline.asked import asked, beside
from tuneful.pipeline.carrying import cores
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.job import Job
from tuneful.pipeline.keys import Keys
from tuneful.pipeline.pace import WIDTH, fitted, narrowed
from tuneful.pipeline.plans import Plans


def planned(
    job: Job, task: Task, clock: Clock, old: Study | None, base: Recipe, workers: int, device: str | None,
    plans: Callable[[], Plans], own: bool,
) -> tuple[Recipe, Space, str]:  # fmt: skip
    """The recipe without "auto", the space, and a word on both; a search with a time limit gets a length at which several full
    trainings fit.

    old: the study that goes on; base: what is settled already; workers: processes that search; own: is the network the user's?
    """
    told = asked(job, task, base)
    if job.how.deterministic:
        base = base.replace(plan="off").because(
            "plan", "ways are chosen by timing, which a deterministic study cannot rest on"
        )
        told = asked(job, task, base)
    if workers > 1:
        base = base.replace(threads=max(1, cores() // workers)).because(
            "threads", f"{workers} processes share {cores()} cores"
        )
        told = asked(job, task, base)
    if old is not None and "recipe" in old.about:
        recipe = from_data(json.loads(old.about["recipe"]))
        return recipe, beside(job, task, recipe, narrowed(told.space, recipe)), "going on"
    recipe = defaults.resolve(told.recipe, task)
    if told.recipe.epochs == "auto" and clock.budget.seconds is not None and job.mode != "train":
        named = any(Keys().resolve(entry.key)[0].partition(".")[0] == "model" for entry in job.entries)
        proxy = job.transfer  # then it is the large network whose training has to fit
        measured = told.recipe if proxy is None else proxy.grown(told.recipe)
        free = not named and not own and proxy is None
        fit = fitted(task, measured, clock, free_width=free, device=device, plans=plans())
        # What hangs on the length of the run is chosen again for this length.
        base = base.replace(epochs=fit.epochs, threads=fit.threads)
        told = asked(job, task, base.replace(model=fit.model) if WIDTH in fit.reasons else base)
        recipe = told.recipe
        if WIDTH in fit.reasons:  # the range that is searched is not narrower yet, so its middle stands there
            recipe = recipe.replace(WIDTH, fit.get(WIDTH))
        for name in ("epochs", "threads", "model", WIDTH):
            recipe = recipe.because(name, fit.reasons[name]) if name in fit.reasons else recipe
        recipe = defaults.resolve(recipe, task)
    stay = f"; {', '.join(told.fixed)} {'stays' if len(told.fixed) == 1 else 'stay'} as you set it" if told.fixed else ""
    stay = stay.replace("as you set it", "as you set them") if len(told.fixed) > 1 else stay
    plan = f"{recipe.epochs:g} epochs at most{stay}"
    return recipe, beside(job, task, recipe, narrowed(told.space, recipe)), plan


__all__ = ["planned"]
