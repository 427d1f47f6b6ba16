"""How the data is to be read, judged before it is read: reading may take minutes, a misspelt metric is told at once."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneful.core.config import nearest
from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding, Kind, Objective
from tuneful.pipeline import split, targets
from tuneful.pipeline.goals import GOALS
from tuneful.pipeline.metrics import METRICS
from tuneful.pipeline.tokenizer_file import KINDS, NAME, SETS
from tuneful.runtime.writing import MOST_BEAMS
from tuneful.techniques import sources

COLUMNS = ("target", "missing", "keep", "leave_out")  # options that only a table can follow


def wrong(source: object, told: Mapping[str, Any], places: Mapping[str, str] | None = None) -> list[Problem]:
    """Every problem of the options of `prepare` that can be seen without reading more than the first bytes of the data.

    told: the options by name; places: {"data.metric": "file:line"} for those that stand in a file.
    """
    problems = [
        *_splits(told),
        *_goal(told.get("kind"), told.get("metric")),
        *_columns(told),
        *_tokens(told.get("tokens", "auto")),
        *_ahead(told),
        *_open(told),
        *_of_source(source, told),
    ]
    where = places or {}
    return [Problem(p.key, p.sentence, where.get(f"data.{p.key}", p.where), p.nearest) for p in problems]


def unfit(metric: str, kind: str, fitting: Sequence[str]) -> Problem:
    """A metric that does not serve the kind of task."""
    return Problem(
        "metric", f"metric is {metric!r}, which does not serve a {kind} task; it must be one of {', '.join(fitting)}"
    )


def _splits(told: Mapping[str, Any]) -> list[Problem]:
    found: list[Problem] = []
    limit, size = told.get("limit"), told.get("size")
    if limit is not None and limit < 2:
        found.append(Problem("limit", f"limit is {limit}; it must be a whole number >= 2"))
    for name in ("valid", "test"):
        try:
            split.check_share(name, told.get(name, "auto"))
        except RecipeError as error:
            found += error.problems
    valid, test = told.get("valid", "auto"), told.get("test", "auto")
    if not found and valid != "auto" and test != "auto" and valid + test >= 1:
        found.append(Problem("valid", f"valid is {valid:g} and test is {test:g}; together they must be < 1, or nothing is "
                             "left to train on"))  # fmt: skip
    if told.get("beam", 1) not in range(1, MOST_BEAMS + 1):
        found.append(Problem("beam", f"beam is {told['beam']}; it must be a whole number in [1, {MOST_BEAMS}]"))
    if size is not None and min(size if isinstance(size, tuple | list) else (size,)) < 1:
        found.append(Problem("size", f"size is {size}; it must be a whole number >= 1, or (height, width)"))
    return found


def _goal(kind: str | None, metric: str | None) -> list[Problem]:
    found: list[Problem] = []
    known = ""
    try:
        known = targets.check_kind(kind)
    except RecipeError as error:
        found += error.problems
    if metric is not None and metric not in METRICS:
        sentence = f"metric is {metric!r}; it must be one of {', '.join(METRICS)}"
        guess = nearest(metric, METRICS) or next((name for name in METRICS if metric and name.startswith(metric)), "")
        found.append(Problem("metric", sentence, nearest=guess))
    elif metric is not None and known:
        several = {"labels": {"multilabel"}, "ordered": {"ordinal"}, "numbers": {"regression", "multiregression"}}
        several |= {
            "series": {"forecasting"},
            "texts": {"sequence_to_sequence"},
            "pixels": {"segmentation"},
            "running": {"language"},
        }
        kinds = {str(kind)} if kind in ("binary", "multiclass", "openset") else several.get(known, {"binary", "multiclass"})
        if not kinds & {*METRICS[metric].kinds}:
            found.append(unfit(metric, str(kind), [name for name, one in METRICS.items() if kinds & {*one.kinds}]))
    return found


def _tokens(tokens: str) -> list[Problem]:
    if tokens in ("auto", *SETS, *KINDS) or Path(tokens).expanduser().exists():
        return []
    sentence = f"tokens is {tokens!r}; it must be {', '.join(('grams', *KINDS))}, or a folder that has a {NAME}"
    return [Problem("tokens", sentence, nearest=nearest(tokens, (*SETS, *KINDS)))]


def _columns(told: Mapping[str, Any]) -> list[Problem]:
    keep, leave = (_words(told.get(name)) for name in ("keep", "leave_out"))
    both = [name for name in keep if name in leave]
    found = [Problem("keep", f"keep and leave_out both name {', '.join(both)}; a column stays or goes")] if both else []
    target = told.get("target")
    if aim := next((name for name in _words(target) if name in leave), None):
        found.append(Problem("leave_out", f"leave_out names {aim}, which is the target"))
    return found


def _ahead(told: Mapping[str, Any]) -> list[Problem]:
    """Options of a forecast, which serve nothing else, and those that do not serve it."""
    forecast = told.get("kind") == "forecasting" or told.get("horizon") is not None
    found: list[Problem] = []
    for name in ("horizon", "window"):
        value = told.get(name)
        if value not in (None, "auto") and (isinstance(value, bool | str) or value != int(value) or value < 1):
            found.append(Problem(name, f"{name} is {value!r}; it must be a whole number >= 1"))
    if not forecast:
        said = [n for n in ("window", "time", "valid_from", "test_from") if told.get(n) not in (None, "auto")]
        return [*found, *(Problem(n, f"{n} is for forecasts; say how many steps ahead with horizon=N") for n in said[:1])]
    if told.get("kind") not in (None, "forecasting"):
        found.append(Problem("horizon", f"horizon is {told['horizon']}, which makes a forecast; kind is {told['kind']}"))
    if told.get("keep"):
        found.append(Problem("keep", "keep does not serve a forecast, which keeps every column of numbers that varies"))
    twice = [n for n in ("valid", "test") if told.get(f"{n}_from") is not None and told.get(n, "auto") != "auto"]
    return [*found, *(Problem(n, f"{n} and {n}_from both say where {n} begins; give one of them") for n in twice)]


def _open(told: Mapping[str, Any]) -> list[Problem]:
    """Options of an open set, which serve nothing else."""
    kind, outside, coverage = told.get("kind"), _words(told.get("outside")), told.get("coverage", "auto")
    found: list[Problem] = []
    if coverage != "auto" and (isinstance(coverage, bool | str) or not 0 < coverage < 1):
        found.append(
            Problem("coverage", f"coverage is {coverage!r}; it must be in (0, 1), the share of the known that is answered")
        )
    if outside and kind not in (None, "openset", "multiclass", "binary", "classes", "classification"):
        found.append(Problem("outside", f"outside is for tasks of classes; kind is {kind}"))
    if "none" in outside and len(outside) > 1:
        found.append(Problem("outside", "outside says none, and names something beside it; give one of them"))
    if "none" in outside and kind == "openset":
        found.append(
            Problem(
                "outside", "outside is none, and kind is openset; leave outside out where no example is known to be outside"
            )
        )
    return found


def _words(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else [str(word) for word in given or ()]


def _of_source(source: object, told: Mapping[str, Any]) -> list[Problem]:
    kind = ""
    with contextlib.suppress(DataError):  # reading says what is wrong with it
        kind = sources.name_of(source)
    if kind == "table" and told.get("size") is not None:
        return [Problem("size", "size is for images; this data is a table")]
    sides = ("parallel_text", "pair_lines")  # whose target is one of their two sides
    said = [name for name in COLUMNS if told.get(name) and not (kind in sides and name == "target")]
    if kind not in ("", "table", "text_json") and said:
        return [Problem("target", "target, missing, keep and leave_out are for tables; this data has no columns")]
    return []


def chosen_objective(kind: Kind, metric: str | None, findings: list[Finding]) -> Objective:
    """What is optimized: what was asked for, if it serves this kind of task, else what is usual for it."""
    chosen = metric or GOALS[kind].metric
    if kind not in METRICS[chosen].kinds:
        raise RecipeError([unfit(chosen, kind, [name for name, m in METRICS.items() if kind in m.kinds])])
    if metric is None:
        findings.append(Finding("note", f"the objective is {chosen}", 1, 1, (), "metric=NAME takes another"))
    return Objective(chosen, METRICS[chosen].direction)
