"""Who takes part in a comparison of optimizers: for each of them where its tuning begins and what it varies.

All share what does not hang on the optimizer (network, init, loss, augments, batches, length). What does is chosen for each
as for a run of its own: an optimizer that averages by itself gets a constant rate and no second average, a full-batch method
the whole split. Settings of the user hold for all that have them; `adam.lr=1e-4..1e-2` holds for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tuneful.core.config import nearest
from tuneful.core.errors import Problem, RecipeError
from tuneful.core.recipe import Recipe
from tuneful.core.space import Space
from tuneful.core.task import Task
from tuneful.pipeline import defaults
from tuneful.pipeline.asked import started
from tuneful.pipeline.codec import Entry, decode
from tuneful.pipeline.keys import Keys
from tuneful.techniques.optimizers import TABLE
from tuneful.techniques.optimizers.ranges import RANGES
from tuneful.techniques.regularizers import EarlyStopping

NEVER = 10**9  # validations without improvement: all runs are equally long, and the best point is kept where it would be


@dataclass(frozen=True)
class Contender:
    """recipe: resolved, with the optimizer's defaults, where they lie inside the ranges; space: what its tuning varies."""

    kind: str
    recipe: Recipe
    space: Space


def named(words: Iterable[str]) -> tuple[str, ...]:
    """The optimizers that are meant, each once. Raises RecipeError with every problem: unknown, named twice, unfit, too few."""
    kinds = [kind.strip() for word in words for kind in word.split(",") if kind.strip()]
    problems: list[Problem] = []
    for kind in dict.fromkeys(kinds):
        if kind not in TABLE:
            guess = nearest(kind, TABLE)
            known = "" if guess else f"; known are {', '.join(TABLE)}"
            problems.append(Problem(kind, f"{kind} is no optimizer{known}", nearest=guess))
        elif TABLE[kind].unsaved:
            problems.append(Problem(kind, f"{kind} cannot train a run: {TABLE[kind].unsaved}"))
    twice = [kind for kind in dict.fromkeys(kinds) if kinds.count(kind) > 1]
    problems += [Problem(kind, f"{kind} is named twice; each optimizer takes part once") for kind in twice]
    if problems:
        raise RecipeError(problems)
    if len(kinds) < 2:
        met = f"only {kinds[0]} is named" if kinds else "no optimizer is named"
        other = "adam" if kinds != ["adam"] else "sgd"
        raise RecipeError(
            f"{met}; a comparison takes two or more",
            f"such as `tuneful compare {kinds[0] if kinds else 'sgd'} {other} --on digits`, or `tuneful tune` for one alone",
        )
    return tuple(kinds)


def checked(kinds: Sequence[str], entries: Sequence[Entry]) -> None:
    """What can be said of the settings without the data. Raises RecipeError with every problem."""
    for kind in kinds:
        decode(_entries(kind, kinds, entries))


def contenders(task: Task, kinds: Sequence[str], entries: Sequence[Entry], base: Recipe) -> tuple[Contender, ...]:
    """One for each of the kinds, in their order. base: what is settled already, such as the user's own network."""
    return tuple(_contender(task, kind, kinds, entries, base) for kind in kinds)


def _contender(task: Task, kind: str, kinds: Sequence[str], entries: Sequence[Entry], base: Recipe) -> Contender:
    told = _entries(kind, kinds, entries)
    recipe, space = decode(told, task, base)
    plain = decode([one for one in told if not _ranged(one.value)], task, base)[0]
    recipe = started(recipe, space, plain)
    free = recipe.regularizers == "auto"
    recipe = defaults.resolve(recipe, task)
    if free and any(isinstance(one, EarlyStopping) for one in recipe.regularizers):
        why = f"{recipe.reasons['regularizers']}; for a comparison all runs are equally long, and keep their best point"
        recipe = recipe.replace("regularizers.early_stopping.patience", NEVER).because("regularizers", why)
    return Contender(kind, recipe, space)


def _entries(kind: str, kinds: Sequence[str], entries: Sequence[Entry]) -> list[Entry]:
    """The settings of one optimizer: its ranges, then what the user set for all, then what was set for it alone."""
    keys = Keys()
    common: list[Entry] = []
    own: list[Entry] = []
    for one in entries:
        head, _, rest = one.key.partition(".")
        if rest and head in TABLE:
            if head not in kinds:
                raise RecipeError([Problem(one.key, f"{one.key} is a setting of {head}, which is not compared", one.where)])
            if head == kind:
                own.append(Entry(f"optimizer.{rest}", one.value, one.where))
            continue
        path = keys.resolve(one.key)[0]
        if path in ("optimizer", "optimizer.kind"):
            raise RecipeError(
                [Problem(one.key, f"{one.key} is {one.value}; the optimizers are named without a key", one.where)],
                f"such as `tuneful compare {' '.join(kinds)} --on DATA`",
            )
        section, _, field = path.partition(".")
        if section == "optimizer" and field not in TABLE[kind].model_fields and _somebodys(field, kinds):
            continue  # a setting of others
        if path == "batch_size" and TABLE[kind].whole:
            continue  # its batch is the whole training split; a note tells it
        common.append(one)
    said = {keys.resolve(one.key)[0] for one in (*common, *own)}
    ranges = [Entry(f"optimizer.{name}", value) for name, value in RANGES[kind].items() if f"optimizer.{name}" not in said]
    return [Entry("optimizer", kind), *ranges, *common, *own]


def _somebodys(field: str, kinds: Sequence[str]) -> bool:
    return any(field in TABLE[kind].model_fields for kind in kinds)


def _ranged(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, str) and (".." in value or "," in value or "~" in value))
