"""Who learns from whom: the student of a distillation, its teachers, and the trials whose weights are averaged.

Other trials of the run are read from their saved states; a trial whose state is gone or damaged is left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import nn

from tuneful.core.config import nearest
from tuneful.core.errors import ModelError, RecipeError, StateError
from tuneful.core.recipe import Recipe
from tuneful.core.trial import Trial
from tuneful.pipeline.begin import begun
from tuneful.pipeline.candidate import Candidate, Network, ends
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.goals import goal
from tuneful.pipeline.improve.learning import bare
from tuneful.pipeline.improve.opened import Origin
from tuneful.pipeline.soup import soup
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import STATE
from tuneful.techniques.compressors import Average, Distil
from tuneful.techniques.models import TABLE as MODELS


def teachers(origin: Origin, step: Distil) -> tuple[nn.Module, ...]:
    """The original's body, and those of the next best trials. Raises ModelError where the run has not so many."""
    found = [bare(origin.task, origin.candidate.network.body)]
    for one in _others(origin):
        if len(found) == step.teachers:
            break
        found.append(bare(origin.task, one.network.body))
    if len(found) < step.teachers:
        raise ModelError(
            f"distil.teachers is {step.teachers}; the run has {len(found)} networks that are kept", "ask for fewer"
        )
    return tuple(found)


def pupil(origin: Origin, step: Distil, candidate: Candidate) -> Candidate:
    """The candidate whose network is to learn: as it is, or a new one of a smaller recipe. Raises ModelError, RecipeError."""
    if not step.anew:
        return candidate
    task, recipe = origin.task, _smaller(origin, step, candidate.recipe)
    body, _ = begun(task, recipe)
    front, back = ends(task)
    network = Network(front, goal(task).around(task, body), back, recipe.views, goal(task).blends)
    return replace(candidate, network=network, recipe=recipe, steps=0)


def _smaller(origin: Origin, step: Distil, recipe: Recipe) -> Recipe:
    if step.trial is not None:
        found = next((trial for trial in origin.study.trials() if trial.number == step.trial), None)
        if found is None:
            raise RecipeError(f"distil.trial is {step.trial}; the run has {len(origin.study.trials())} trials, from 0 on")
        return resolve(from_data(found.recipe), origin.task).replace(seed=recipe.seed)
    if step.model:
        return _other(origin, step, recipe)
    model: Any = recipe.model
    if "width" not in type(model).model_fields:
        raise ModelError(f"distil.width is {step.width:g}, and model.{getattr(model, 'kind', 'own')} has no width to make smaller",
                         "write width=1 to teach the network as it is, after prune say, or trial=NUMBER")  # fmt: skip
    heads = int(getattr(model, "heads", 1))
    unit = 2 * heads if heads > 1 else 1
    width = max(unit, round(model.width * step.width / unit) * unit)
    return recipe.replace("model.width", width)


def _other(origin: Origin, step: Distil, recipe: Recipe) -> Recipe:
    """The recipe of another model, for which all else is chosen anew."""
    if step.model not in MODELS or step.model in ("own", "pretrained"):
        guess = nearest(step.model, MODELS)
        raise RecipeError(f"distil.model is {step.model}, which is no model{f'; did you mean {guess}?' if guess else ''}",
                          "`tuneful list model` names all of them")  # fmt: skip
    made: Any = MODELS[step.model]
    if step.units and "width" not in made.model_fields:
        raise RecipeError(f"distil.units is {step.units}, and model.{step.model} has no width", "leave units out")
    model = made(width=step.units) if step.units else made()
    return resolve(Recipe(model=model, seed=recipe.seed, threads=recipe.threads, batch_size=recipe.batch_size), origin.task)


def averaged(origin: Origin, step: Average) -> Candidate:
    """The greedy soup of the original and the best other trials with the same network. Raises ModelError where nothing was added."""
    shapes = _shapes(origin.candidate)
    found = [origin.candidate]
    for one in _others(origin):
        if len(found) == step.candidates:
            break
        if _shapes(one) == shapes:
            found.append(one)
    if len(found) < 2:
        raise ModelError("average needs other trials with the same network; this run has kept none", "leave the step out")
    made = soup(origin.task, found)
    if len(made.members) < 2:
        raise ModelError(f"average took none of {len(found) - 1} other trials in: the mean of their weights is worse on valid",
                         "trials from different beginnings have no mean; leave the step out")  # fmt: skip
    return replace(made.candidate, recipe=origin.candidate.recipe)


def _shapes(candidate: Candidate) -> dict[str, Any]:
    return {name: value.shape for name, value in candidate.network.state_dict().items()}


def _others(origin: Origin) -> Iterator[Candidate]:
    """The networks of the other trials, the best first."""
    better = origin.task.objective.better
    rated: list[Trial] = [
        trial for trial in origin.study.trials() if trial.last is not None and trial.number != origin.trial.number
    ]
    values = {trial.number: trial.last.value.value for trial in rated if trial.last is not None}
    rated.sort(key=lambda trial: sum(better(other, values[trial.number]) for other in values.values()))
    for trial in rated:
        with contextlib.suppress(StateError, ModelError, OSError):
            yield Run.resume(origin.task, origin.study.trial_folder(trial.number) / STATE, device="cpu").candidate()


__all__ = ["averaged", "pupil", "teachers"]
