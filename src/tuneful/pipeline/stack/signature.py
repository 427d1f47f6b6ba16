"""Which recipes can be stacked: what the members of a stack must share, and the reason in words where they do not.

    signature(task, recipe)          equal for recipes that may stand in one stack; "" inside where a recipe cannot be in any
    unfit(task, recipe)              why it cannot be in any; "" where it can, as far as a recipe tells (a dry run tells the rest)
    apart(task, one, other)          why two recipes cannot stand in one stack; "" where they can

Members share the structure of the network, the batch size and whatever else gives the computation its shape. They may differ in
everything that is a number on the way: rates, decays, momenta, betas, rates of dropout, smoothing, strengths of augments, seed,
init, schedules, epochs, how often they are judged, when they stop.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tuneful.core.config import Settings
from tuneful.core.recipe import LISTS, Recipe
from tuneful.core.task import Task
from tuneful.pipeline.defaults import resolve
from tuneful.techniques.regularizers import Dropout

FREE = ("init", "schedule", "momentum_schedule", "decay_schedule", "momentum_to", "decay_to", "epochs", "validate_every", "views", "alarm", "seed", "reasons")  # fmt: skip
"""Of a recipe: what each member has for itself, whatever it is."""


def unfit(task: Task, recipe: Recipe) -> str:
    """Why a recipe cannot be a member of any stack; "" where it can."""
    plan: Any = resolve(recipe, task)
    if plan.optimizer.closure:
        return f"optimizer {plan.optimizer.kind} asks for gradients itself: {plan.optimizer.stackable}"
    if plan.batch_schedule != "none":
        return "its batch size changes on the way, so its tensors have no shape of their own"
    if plan.model.kind == "pretrained":
        return plan.model.stackable
    return ""


def shape(task: Task, recipe: Recipe) -> dict[str, Any]:
    """What all members of a stack share, as plain data by dotted names."""
    plan: Any = resolve(recipe, task)
    found: dict[str, Any] = {}
    for name in type(plan).model_fields:
        if name in FREE:
            continue
        value = getattr(plan, name)
        if name == "optimizer":
            found |= {f"optimizer.{key}": one for key, one in _fixed(value).items()}
        elif name in LISTS:
            found[name] = [one.kind for one in value]
            found |= {f"{name}.{one.kind}.{key}": v for one in value for key, v in _shaping(one).items()}
        else:
            found[name] = value.as_data() if isinstance(value, Settings) else value
    return found


def signature(task: Task, recipe: Recipe) -> str:
    """A text that is equal for recipes that may stand in one stack."""
    return json.dumps([task.fingerprint, unfit(task, recipe), shape(task, recipe)], sort_keys=True, default=str)


def apart(task: Task, one: Recipe, other: Recipe) -> str:
    """Why two recipes cannot stand in one stack; "" where they can."""
    for recipe in (one, other):
        if reason := unfit(task, recipe):
            return reason
    ours, theirs = shape(task, one), shape(task, other)
    for name in (*ours, *(key for key in theirs if key not in ours)):
        if ours.get(name) != theirs.get(name):
            return f"{name} is {_told(ours.get(name))} in one and {_told(theirs.get(name))} in the other"
    return ""


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={one}" for key, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _fixed(optimizer: Any) -> dict[str, Any]:
    """Of an optimizer: its kind, its flags and what gives its arithmetic its shape, and which parameters do otherwise."""
    found: dict[str, Any] = {
        "kind": optimizer.kind,
        "groups": sorted(optimizer.groups),
        "layered": optimizer.layer_decay < 1,
    }
    for name in optimizer.hypers():
        value = getattr(optimizer, name)
        if name in optimizer.fixed or isinstance(value, bool | str):
            found[name] = value
    if optimizer.kind == "rmsprop":
        found["heavy"] = optimizer.momentum > 0  # one more tensor
    return found


def _shaping(one: Any) -> dict[str, Any]:
    """Of a regularizer or an augment: what changes the computation rather than a number in it."""
    if isinstance(one, Dropout):
        noisy = one.form == "gaussian"
        return {"form": one.form, "none": one.rate == 0 and one.form != "standard"} | ({"rate": one.rate} if noisy else {})
    if one.family == "augments" or one.kind == "exposure":
        return {name: v for name, v in one.as_data().items() if one.kind == "exposure" or isinstance(v, bool | str)}
    return {"data": one.as_data()} if one.kind == "stochastic_depth" else {}
