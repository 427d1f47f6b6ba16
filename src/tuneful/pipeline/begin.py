"""How a network begins: built, checked, filled by the init and by what is counted in train, prepared by the regularizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.core.chance import key
from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.candidate import as_input, ends
from tuneful.pipeline.goals import form
from tuneful.pipeline.step import arithmetic
from tuneful.techniques.inits import apply_
from tuneful.techniques.interfaces import Rate
from tuneful.techniques.models import fits, make


def begun(task: Task, recipe: Recipe) -> tuple[nn.Module, dict[str, Rate]]:
    """The body of a resolved recipe on the CPU, ready for its first step, and the factors that init and model give the
    rates of parameters, by name. Raises ModelError when the network does not fit the task or the init; RecipeError when the init
    would overwrite weights that the network comes with."""
    plan: Any = recipe
    if plan.model.filled and plan.init.kind != "as_built":
        raise RecipeError(
            f"init is {plan.init.kind}; it would overwrite the weights that model.{plan.model.kind} comes with",
            "write init=as_built",
        )
    twin = _twin(task, recipe)
    torch.default_generator.manual_seed(key(recipe.seed, "build"))
    body = make(plan.model, form(task))
    fits(body, form(task))
    with arithmetic(int(recipe.threads)):  # what an init makes of the data depends on it
        apply_(body, plan.init, recipe.seed, sample=_sample(task, recipe.seed, plan.init.looks), twin=twin)
    plan.model.learn_(body, task.train.x, task.train.y)
    if (seen := _sample(task, recipe.seed, plan.model.looks)) is not None:
        plan.model.look_(body, seen)
    rates = _times(plan.init.rates(body, twin), plan.model.rates(body))
    for one in plan.regularizers:
        one.prepare(body)
    return body, rates


def _times(one: Mapping[str, Rate], other: Mapping[str, Rate]) -> dict[str, Rate]:
    """Both factors of each parameter."""
    pairs = {name: (one.get(name, Rate()), other.get(name, Rate())) for name in {**one, **other}}
    return {n: Rate(a.following * b.following, a.free * b.free, a.held and b.held) for n, (a, b) in pairs.items()}


def _twin(task: Task, recipe: Recipe) -> nn.Module | None:
    """The network that the init compares this one with: shapes without memory."""
    plan: Any = recipe
    if not plan.init.twin:
        return None
    with torch.device("meta"):
        model: Any = recipe.replace(plan.init.twin).model
        return make(model, form(task))


def _sample(task: Task, seed: int, n: int) -> Tensor | None:
    """n examples of the training split (all, where there are fewer) as the body sees them, chosen by the seed."""
    if n == 0:
        return None
    front, _ = ends(task)
    dice = torch.Generator().manual_seed(key(seed, "init"))
    chosen = torch.randperm(len(task.train), generator=dice)[:n].sort().values.numpy()
    return front(as_input(torch.from_numpy(task.train.x[chosen])))
