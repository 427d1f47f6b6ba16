"""What a job asks for: the recipe from which it starts, and the space around it.

A recipe file may end in a table [ranges]: `tune` and `optimize` vary what stands there, starting at the values above it, and
`train` takes those values. So one file serves all three commands. A word of the command line comes after the file and wins.

    [ranges]
    optimizer.lr = "3e-4..3e-2"
    epochs = "auto"             # as many as the time for searching allows
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tuneful.core.errors import ModelError, Problem, RecipeError
from tuneful.core.recipe import LISTS, Recipe
from tuneful.core.space import Space
from tuneful.core.task import Task
from tuneful.pipeline import defaults
from tuneful.pipeline.codec import Entry, decode
from tuneful.pipeline.job import Job
from tuneful.pipeline.keys import TOP, Keys
from tuneful.pipeline.options import wrong

RANGES = "ranges."
"""What the keys of a file's table [ranges] begin with."""


@dataclass(frozen=True)
class Asked:
    """recipe: what is left open is still "auto"; fixed: what `optimize` would vary, and the user has given one value."""

    recipe: Recipe
    space: Space
    fixed: tuple[str, ...] = ()


def settings(job: Job, *, train: bool | None = None) -> list[Entry]:
    """The settings of a job, what counts most last: those of a file, its [ranges] (not for a training), those of the words."""
    proxy = job.transfer
    job = job if proxy is None else replace(job, entries=(*proxy.entries(job.entries), *job.entries))
    ranged = [replace(one, key=one.key.removeprefix(RANGES)) for one in job.entries if one.key.startswith(RANGES)]
    plain = [one for one in job.entries if not one.key.startswith(RANGES)]
    if job.mode == "train" if train is None else train:
        return plain
    # A technique of a list may stand there with its first setting alone: a range of that setting stands in its place.
    heads = {one.key.rpartition(".")[0] for one in ranged if one.key.partition(".")[0] in LISTS}
    of_file = [one for one in plain if one.where and (one.key not in heads or one.value is True)]
    return [*of_file, *ranged, *(one for one in plain if not one.where)]


def checked(job: Job, base: Recipe | None = None, *, looking: bool = False) -> None:
    """What can be said of a job without its data. Raises RecipeError with every problem of the data's options and of the settings;
    for a range given to `train`, or none to `tune`. looking: nothing will be trained, ranges or not."""
    problems, hint = wrong(job.source, job.reading, job.places), ""
    try:
        _check(job, base or Recipe(), looking)
    except RecipeError as error:
        problems, hint = [*problems, *error.problems], error.hint
    if problems:
        raise RecipeError(problems, hint)


def _check(job: Job, base: Recipe, looking: bool) -> None:
    space = decode(settings(job), base=base)[1]
    if job.mode == "train" and job.how.proxy is not None:
        raise RecipeError("a proxy is for tuning; train trains the network that is named", "use `tuneful tune` with a range")
    if job.how.proxy is not None and job.how.ensemble not in ("auto", 0):
        raise RecipeError(
            f"an ensemble of up to {job.how.ensemble} is asked for beside a proxy, whose target is one network",
            "leave one of them out",
        )
    if job.how.proxy is not None and job.how.final != "train":
        raise RecipeError(
            "a final fit on train and valid is asked for beside a proxy, whose target is trained once",
            "leave one of them out",
        )
    if job.mode == "train" and len(space):
        ranged = ", ".join(f"{dial.path}={dial.range}" for dial in space)
        raise RecipeError(
            f"train takes one value for each setting; {ranged} is a range", "use `tuneful tune` with the same words"
        )
    if job.mode == "tune" and not len(space) and not looking:
        raise RecipeError(
            "tune needs a range; every setting has one value", "write lr=1e-4..1e-1, or use `tuneful optimize`"
        )
    if job.mode == "train" and len(job.entries) > len(settings(job)):
        decode(settings(job, train=False), base=base)  # a mistake in [ranges] is told, though it is not used now
    keys = Keys()
    values = [one for one in job.entries if one.key.startswith(RANGES) and one.value != "auto"]
    dials = {dial.path for dial in decode(settings(job, train=False), base=base)[1]} if values else set[str]()
    words = {keys.resolve(one.key)[0] for one in job.entries if not one.where}
    odd = [one for one in values if _plain(one.value) and _path(keys, one.key) not in dials | words]
    if odd:
        raise RecipeError(
            [Problem(one.key, f"{one.key} is {one.value}; it must be a range or a choice", one.where) for one in odd],
            'such as optimizer.lr = "1e-4..1e-1"; a value that stays stands above, outside of [ranges]',
        )


def _plain(value: Any) -> bool:
    return not isinstance(value, str) or (".." not in value and "," not in value and "~" not in value)


def _path(keys: Keys, key: str) -> str:
    return keys.resolve(key.removeprefix(RANGES))[0]


def asked(job: Job, task: Task, base: Recipe) -> Asked:
    """The user's recipe and space; what `optimize` varies by itself when no range is given. base: what is settled already."""
    found, proxy = _asked(job, task, base), job.transfer
    return found if proxy is None else replace(found, recipe=proxy.dialled(found.recipe))


def _asked(job: Job, task: Task, base: Recipe) -> Asked:
    keys = Keys()
    entries = _open(settings(job), base)
    recipe, space = decode(entries, task, base)
    if len(space):
        above = decode(settings(job, train=True), task, base)[0]
        return Asked(started(recipe, space, above), space)
    if job.mode != "optimize":
        return Asked(recipe, space)
    told = {keys.resolve(one.key)[0]: one for one in entries}
    resolved = defaults.resolve(recipe, task)
    # Who names a list ("regularizers=none") means all of it.
    dials = {k: v for k, v in defaults.dials(task, resolved).items() if k.partition(".")[0] not in {*told} & {*LISTS}}
    recipe, space = decode([*(Entry(key, value) for key, value in dials.items()), *entries], task, base)
    varied = {dial.path for dial in space}
    fixed = tuple(key for key in dials if key not in varied and (key in told or key.rpartition(".")[0] in told))
    if not len(space):
        places = [
            f"{key} ({told[key].where})" if key in told and told[key].where else key for key in fixed or tuple(sorted(told))
        ]
        raise RecipeError(
            f"everything that optimize would vary has one value: {', '.join(places)}",
            "take out what shall be free, or give it a range, such as lr=3e-4..3e-2; `tuneful train` takes it as it is",
        )
    return Asked(started(recipe, space, resolved), space, fixed)


def _open(entries: list[Entry], base: Recipe) -> list[Entry]:
    """The entries, without those that leave a choice to tuneful which `base` has made meanwhile."""
    keys = Keys()
    last = {keys.resolve(entry.key)[0]: entry.value for entry in entries}
    settled = {key for key, value in last.items() if value == "auto" and key in TOP and getattr(base, key) != "auto"}
    return [entry for entry in entries if keys.resolve(entry.key)[0] not in settled]


def started(recipe: Recipe, space: Space, start: Recipe) -> Recipe:
    """The recipe at the values of another one, which a search tries first, where they lie inside the ranges."""
    for dial in space:
        if dial.range.near is not None:
            continue
        with contextlib.suppress(RecipeError):  # a technique that the other one leaves out
            value = start.get(dial.path)
            if dial.path not in space.variants and dial.holds(value):
                recipe = recipe.replace(dial.path, value)
    return recipe


def beside(job: Job, task: Task, recipe: Recipe, space: Space) -> Space:
    """The space, in which each model of a choice brings along what is chosen for it: `recipe` has what suits the first."""
    models = space.variants.get("model", {})
    keys = Keys()
    entries = [one for one in settings(job) if keys.resolve(one.key)[0].partition(".")[0] != "model"]
    found: dict[str, Mapping[str, Any]] = {}
    for kind, model in models.items():
        base = Recipe(model=model, epochs=recipe.epochs)
        with contextlib.suppress(ModelError):  # a network that cannot be built: its trial says so
            one = defaults.resolve(decode(_open(entries, base), task, base)[0], task)
            names = (name for name in type(recipe).model_fields if name != "model")
            found[kind] = {name: getattr(one, name) for name in names if getattr(one, name) != getattr(recipe, name)}
    return replace(space, beside={"model": found}) if found else space
