"""A job of what the user said: words of a command line, or settings in Python.

from_words("tune", "houses.csv", ["target=price", "lr=1e-4..1e-1"])
from_settings("tune", (x, y), {"lr": "1e-4..1e-1", "budget": "2min"})
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuneful.core.budget import Budget
from tuneful.core.errors import Problem, RecipeError
from tuneful.pipeline import clean_words, shelf
from tuneful.pipeline.alike import from_champion
from tuneful.pipeline.codec import Entry
from tuneful.pipeline.job import Job, Mode
from tuneful.pipeline.keys import flatten
from tuneful.pipeline.terms import Data, How
from tuneful.techniques.cleaners import Cleaner

NUMBERS = (
    "size",
    "limit",
    "length",
    "vocabulary",
    "valid",
    "test",
    "coverage",
    "split_seed",
    "horizon",
    "window",
    "beam",
    "standardize",
)  # options of the data


def from_words(mode: Mode, source: str, words: Iterable[str], recipe: str | None = None, **known: Any) -> Job:
    """A job from a command line: a source (or a recipe file with a source in its [data]) and words `key=value`.

    recipe: a name of the shelf or a file, over which the words win; recipe=NAME is the same. known: name, command, budget. Raises
    RecipeError with every problem of all words.
    """
    named = [source] if Path(source).suffix.lower() in shelf.FILES else []
    source = "" if named else source
    named += [recipe] if recipe is not None else []
    entries: list[Entry] = []
    problems: list[Problem] = []
    for word in map(tilde, words):
        key, sign, value = word.partition("=")
        if not sign:
            problems.append(Problem(word, f'"{word}" is not a setting; settings look like key=value, such as lr=1e-3'))
        elif not value.strip():
            problems.append(Problem(key, f"{key} has no value; settings look like key=value, such as {key}=1"))
        elif key.strip() == "recipe":
            named.append(value.strip())
        else:
            entries.append(Entry(key.strip(), value.strip()))
    if problems:
        raise RecipeError(problems)
    if len(named) > 1:
        raise RecipeError(f"{' and '.join(named)} are {len(named)} recipes; a run begins at one", "name data and one recipe")
    return _job(mode, source, [*(shelf.entries(named[0]) if named else []), *entries], **known)


def tilde(word: str) -> str:
    """`lr~1e-3`, which says what is believed, as `lr=~1e-3`; any other word as it is."""
    key, sign, value = word.partition("~")
    return f"{key}=~{value}" if sign and value and re.fullmatch(r"[A-Za-z][\w.]*", key) else word


def from_settings(mode: Mode, source: Any, settings: Mapping[str, Any], **known: Any) -> Job:
    """A job from Python: `from_settings("tune", (x, y), {"lr": "1e-4..1e-1", "budget": "2min"})`. "recipe": a name, a file or a
    `Recipe` to begin at."""
    told = dict(settings)
    recipe = told.pop("recipe", None)
    begun = shelf.entries(recipe) if recipe is not None else []
    return _job(mode, source, [*begun, *(Entry(key, value) for key, value in flatten(told))], **known)


def _job(
    mode: Mode, source: Any, entries: Iterable[Entry], name: str | None = None, command: str = "", budget: str | None = None
) -> Job:
    apart: dict[str, dict[str, Any]] = {"data": {}, "search": {}}
    places: dict[str, str] = {}
    rest: list[Entry] = []
    steps: list[tuple[Any, str]] = []
    for entry in from_champion(list(entries)):
        head, _, name_of = entry.key.rpartition(".")
        section = next(
            (s for s, cls in (("data", Data), ("search", How)) if head in ("", s) and name_of in cls.model_fields), head
        )
        if entry.key in ("data.source", "source"):
            source = entry.value if isinstance(source, str) and not source else source
        elif section == "data" and name_of == "clean":
            steps += [(entry.value, entry.where)]
        elif section in apart:
            many = name_of in ("missing", "keep", "leave_out", "levels", "outside", "where")
            value = entry.value.split(",") if many and isinstance(entry.value, str) else entry.value
            apart[section][name_of] = _number(value) if section == "data" and name_of in NUMBERS else value
            places[f"{section}.{name_of}"] = entry.where
        else:
            rest.append(entry)
    if budget is not None:
        apart["search"]["budget"] = budget
    for key in ("eta", "workers", "deterministic", "confirm", "candidates", "control"):
        if key in apart["search"]:
            apart["search"][key] = _number(apart["search"][key])
    problems: list[Problem] = []
    made: list[Any] = []
    try:
        apart["data"]["clean"] = _cleaned(steps)
    except RecipeError as error:
        problems += error.problems
    for section, cls in (("data", Data), ("search", How)):
        try:
            made.append(cls.parse(apart[section], f"{section}."))
        except RecipeError as error:
            problems += [replace(problem, where=places.get(problem.key, "")) for problem in error.problems]
    if problems:
        raise RecipeError(problems)
    if source is None or (isinstance(source, str) and not source):
        raise RecipeError(
            "no data is named", "name a source before the settings, such as `tuneful train digits`, or in the file's [data]"
        )
    if made[1].budget is not None:
        Budget.parse(made[1].budget)
    if made[1].storage is not None:
        _check_storage(made[1].storage)
    job = Job(mode, source, made[0], made[1], tuple(rest), name, command, places)
    if job.least is not None and made[1].deterministic:
        raise RecipeError(
            "stop_when is given beside deterministic: a gain in a time differs from run to run", "leave one of them out"
        )
    if made[1].deterministic and job.budget.seconds is not None:
        raise RecipeError(
            f"deterministic is asked for with a budget of {job.budget}: how much is done in a time differs from run to run",
            'give trials alone, such as --budget "40 trials"',
        )
    return job


def _cleaned(given: Sequence[tuple[Any, str]]) -> tuple[Cleaner, ...]:
    """The steps of cleaning: those of the words, in their order, or where there are none those of the file."""
    words = [value for value, where in given if not where]
    if not words:
        return clean_words.steps(given[-1][0], given[-1][1]) if given else ()
    parts = [part for value in words for part in (list(value) if isinstance(value, list | tuple) else [value])]
    return clean_words.steps([part for part in parts if part != "none"])


def _check_storage(url: str) -> None:
    """Raises RecipeError for an address that is not of a database, or that holds a password, which would lie in the run's folder."""
    head, sign, rest = url.partition("://")
    if not sign or head not in ("postgresql", "postgresql+psycopg"):
        raise RecipeError(
            f"storage is {url.partition('@')[2] or url}; it must be the address of a PostgreSQL database",
            "such as postgresql://user@host/database; without it the study is a file in the run's folder",
        )
    if "@" in rest and ":" in rest.partition("@")[0]:
        raise RecipeError(
            "the address of the storage holds a password, which would be written down with the run",
            "leave it out, and put it into ~/.pgpass or $PGPASSWORD",
        )


def _number(value: Any) -> Any:
    from tuneful.core.space import scalar

    return scalar(value) if isinstance(value, str) else value


__all__ = ["from_settings", "from_words", "tilde"]
