"""What the columns of a table mean, learned from train alone: the schema that `runtime.preprocess` applies.

number     also written as text; missing values take train's median, and a feature says so
category   at most 50 levels, the most frequent; the rest is "other"
date       year, month, day, weekday, hour, as far as they vary
left out   constant or empty columns, copies of others, identifiers, free text, and what gives the target away
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.pipeline import filling
from tuneful.pipeline.cells import PIECE, Frame, floats
from tuneful.pipeline.leaks import without_copies, without_leaks
from tuneful.runtime.preprocess import MISSING, cell, clipped, is_number, level, moment_of, moments, part

if TYPE_CHECKING:
    import polars as pl

    from tuneful.techniques.cleaners import Filler

MOST_LEVELS = 50
KNOTS = 256  # of a number's ranks
_PARTS = ("year", "month", "day", "weekday", "hour")
_ORDERS = ("ymd", "dmy", "mdy")


def fit(
    frame: Frame, y: NDArray[Any], missing: Sequence[str], keep: Sequence[str], semicolons: bool, ranks: bool = False,
    steps: Sequence[Filler] = (),
) -> tuple[dict[str, Any], list[Finding]]:  # fmt: skip
    """The schema of the columns of `frame` (the train split without its target), and what was found and chosen.

    keep: columns that stay whatever is found of them. ranks: numbers are made normal by their ranks. steps: of cleaning, that fill
    and clip. Raises DataError when no column is left.
    """
    findings: list[Finding] = []
    words = {word.casefold() for word in (*MISSING, *missing)}
    columns: list[dict[str, Any]] = []
    for name in frame.columns:
        column = _column(frame[name], name, words, missing, semicolons, name in keep, findings, steps)
        if column:
            columns.append(column)
    if ranks:
        columns = [
            _ranked(frame[column["name"]], column, missing) if column["type"] == "number" else column for column in columns
        ]
    columns = without_copies(frame, columns, missing, keep, findings)
    columns = without_leaks(frame, columns, y, missing, keep, findings)
    if not columns:
        raise DataError(
            "no column is left to learn from: " + "; ".join(f.what for f in findings if f.severity != "note")[:400],
            "keep a column with keep=NAME, or give other data",
        )
    named = [feature for column in columns for feature in features(column)]
    groups = [size for column in columns for size in _groups(column)]
    told = {"columns": columns, "features": named, "groups": groups, "missing": list(missing)}
    return {"format": 1, "kind": "table", **told}, findings


def telling(frame: Frame, names: Sequence[str], y: NDArray[Any], missing: Sequence[str], keep: Sequence[str]) -> list[str]:
    """The columns that say something of the target without giving it away: what `fit` would keep, beside leaks and copies."""
    words = {word.casefold() for word in (*MISSING, *missing)}
    found = [_column(frame[name], name, words, missing, False, name in keep, []) for name in names]
    return [column["name"] for column in found if column and not _settles(frame[column["name"]], y)]


def _settles(series: pl.Series, y: NDArray[Any]) -> bool:
    """Does each of few values stand with one class alone (a rating of 1 to 10 beside good and bad)?"""
    codes = np.unique(series.cast(str).fill_null("").rank("dense").to_numpy(), return_inverse=True)[1]
    kinds = int(codes.max()) + 1
    return kinds <= len(y) // 10 and len(np.unique(codes.astype(np.int64) * (int(y.max()) + 1) + y)) == kinds


def _column(
    series: pl.Series,
    name: str,
    words: set[str],
    missing: Sequence[str],
    semicolons: bool,
    kept: bool,
    findings: list[Finding],
    steps: Sequence[Filler] = (),
) -> dict[str, Any] | None:
    n = len(series)
    if series.dtype.is_numeric():
        return _number(name, series, missing, {}, kept, findings, steps)
    text = series.fill_null("")
    known = text.filter(~text.str.to_lowercase().is_in(list(words)))
    absent, distinct = n - len(known), known.n_unique()
    if len(known) == 0:
        findings.append(Finding("warning", f'column "{name}" has no values and is left out', n, n))
        return None
    told = len(findings)
    found = _as_number(series, name, known, words, missing, semicolons, kept, findings, steps)
    if found is not None or any(
        one.what.endswith("left out") for one in findings[told:]
    ):  # as a number it was judged already
        return found
    order = date_order(known, name, findings)
    if order:
        return _date(series, name, order, missing, findings)
    if distinct == 1 and not absent:
        findings.append(Finding("warning", f'column "{name}" is always "{known[0]}" and is left out', n, n))
        return None
    if not kept and n >= 20 and distinct > 0.9 * len(known):
        what = "free text" if float(known.str.count_matches(r"\s").mean() or 0) >= 2 else "an identifier"  # type: ignore[arg-type]
        findings.append(
            Finding("warning", f'column "{name}" is {what} ({distinct} different values) and is left out', distinct, n,
                    tuple(known.head(3).str.slice(0, 40).to_list()), f"keep={name} makes a category of it")
        )  # fmt: skip
        return None
    return _category(name, known, absent, distinct, findings, steps)


def _as_number(
    series: pl.Series, name: str, known: pl.Series, words: set[str], missing: Sequence[str], semicolons: bool, kept: bool,
    findings: list[Finding], steps: Sequence[Filler],
) -> dict[str, Any] | None:  # fmt: skip
    comma = (
        semicolons
        and bool(known.str.contains(r"^[+-]?\d+,\d+$").any())
        and not bool(known.str.contains(".", literal=True).any())
    )
    plain = known.str.replace(",", ".", literal=True) if comma else known
    parsed = plain.cast(float, strict=False)
    odd = known.filter(parsed.is_null())
    if len(odd) > 0.1 * len(known) or odd.n_unique() > 3:
        return None
    extra = sorted(odd.unique().to_list())
    more = {"words": extra} if extra else {}
    more |= {"decimal": ","} if comma else {}
    if extra:
        findings.append(
            Finding("warning", f'column "{name}" is a number, and {len(odd)} values that are none count as missing', len(odd),
                    len(series), tuple(extra[:3]))
        )  # fmt: skip
    blank = len(series) - len(known)
    if blank or extra or comma:
        findings.append(Finding("note", f'column "{name}" was read as a number', len(known) - len(odd), len(series)))
    return _number(name, series, missing, more, kept, findings, steps)


def _number(
    name: str, given: pl.Series, missing: Sequence[str], more: dict[str, Any], kept: bool, findings: list[Finding],
    steps: Sequence[Filler],
) -> dict[str, Any] | None:  # fmt: skip
    infinite = _infinite(given)
    found = floats(given, name, [*missing, *more.get("words", ())], more.get("decimal", "."))
    n, here = len(found), found[~np.isnan(found)]
    if not len(here):
        findings.append(Finding("warning", f'column "{name}" has no values and is left out', n, n))
        return None
    if infinite:
        findings.append(Finding("warning", f'column "{name}" has infinite values, which count as missing', infinite, n))
    absent, distinct = n - len(here), len(np.unique(here))
    if distinct == 1 and not absent:
        findings.append(Finding("warning", f'column "{name}" is always {here[0]:g} and is left out', n, n))
        return None
    if not kept and _is_row_number(name, here, distinct):
        text = f'column "{name}" numbers the rows and is left out'
        findings.append(Finding("warning", text, n, n, (), f"keep={name} keeps it"))
        return None
    learned, found = filling.number(steps, name, found)
    mean, std = _scale(np.where(np.isnan(found), learned["fill"], found))
    column = {"name": name, "type": "number", "fill": learned["fill"], "mean": mean, "std": std, **learned, **more}
    if absent:
        flag = ", and a feature says so" if column["indicator"] else ""
        findings.append(Finding("note", f'column "{name}" misses values; they take {filling.said(column)}{flag}', absent, n))
    return column


def _ranked(series: pl.Series, column: dict[str, Any], missing: Sequence[str]) -> dict[str, Any]:
    """The column with knots between which a number goes to the normal quantile of its rank; equal numbers share their mean."""
    found = floats(series, column["name"], [*missing, *column.get("words", ())], column.get("decimal", "."))
    here = np.sort(clipped(column, found[~np.isnan(found)]))
    shares = (np.arange(KNOTS) + 0.5) / KNOTS
    knots = np.quantile(here, shares)
    normal = np.array([NormalDist().inv_cdf(share) for share in shares])
    at, inverse = np.unique(knots, return_inverse=True)
    ranks = np.bincount(inverse, normal) / np.bincount(inverse)
    # Between the outer knots and the extremes the line goes on, to where the extreme of so many normal numbers lies.
    edge = -NormalDist().inv_cdf(0.5 / (len(here) + 1))
    if here[0] < at[0]:
        at, ranks = np.append(here[0], at), np.append(min(-edge, ranks[0]), ranks)
    if here[-1] > at[-1]:
        at, ranks = np.append(at, here[-1]), np.append(ranks, max(edge, ranks[-1]))
    return column | {"knots": at.tolist(), "ranks": ranks.tolist()} if len(at) > 1 else column


def _infinite(given: pl.Series) -> int:
    if given.dtype.is_numeric():
        return int(given.is_infinite().sum()) if given.dtype.is_float() else 0
    endless = ("inf", "-inf", "+inf", "infinity", "-infinity", "+infinity")
    return int(given.str.to_lowercase().is_in(endless).sum())


def _is_row_number(name: str, here: NDArray[np.float64], distinct: int) -> bool:
    if len(here) < 20 or distinct < len(here) or not (here == np.round(here)).all():
        return False
    named = (
        name.lower() in ("id", "index", "rowid", "row", "row_id")
        or name.lower().endswith(("_id", " id"))
        or name.endswith("ID")
    )
    steps = np.diff(here)
    return named or name.startswith("column ") or bool((steps == 1).all())


def _scale(found: NDArray[np.float64]) -> tuple[float, float]:
    mean, std = float(found.mean()), float(found.std())
    return mean, std if std > 1e-12 * max(1.0, abs(mean)) else 1.0


def _category(
    name: str, known: pl.Series, absent: int, distinct: int, findings: list[Finding], steps: Sequence[Filler]
) -> dict[str, Any]:
    counts = known.value_counts(sort=False)
    words, sizes = counts[counts.columns[0]].to_list(), counts[counts.columns[1]].to_list()
    numeric = all(is_number(word) for word in words[:1000]) and all(is_number(word) for word in words)
    total: dict[str, int] = {}
    for word, size in zip(words, sizes):
        named = level(word, numeric)
        total[named] = total.get(named, 0) + size
    frequent = heapq.nsmallest(MOST_LEVELS, total, key=lambda word: (-total[word], word))
    levels, rest = sorted(frequent), len(total) - len(frequent)
    if rest:
        count = len(known) - sum(total[word] for word in frequent)
        text = f'column "{name}" has {distinct} levels; the {MOST_LEVELS} most frequent are kept, the rest is "other"'
        findings.append(Finding("warning", text, count, len(known)))
    learned = filling.category(steps, name, total, absent > 0)
    if "fill" in learned:
        learned["fill"] = level(learned["fill"], numeric)
        levels = sorted({*levels, learned["fill"]})
    column = {"name": name, "type": "category", "levels": levels, "other": bool(rest), "numeric": numeric, **learned}
    if absent:
        verb = "take" if "fill" in column else "are" if column["indicator"] else "have"
        text = f'column "{name}" misses values; they {verb} {filling.said(column)}'
        findings.append(Finding("note", text, absent, absent + len(known)))
    return column


def date_order(known: pl.Series, name: str, findings: list[Finding]) -> str:
    """The order of year, month and day in which every value is a date, or ""."""
    few = known.head(100).to_list()
    orders = [order for order in _ORDERS if all(moment_of(cell(text), order) is not None for text in few)]
    if not orders:
        return ""
    every = known.unique().to_list()
    orders = [order for order in orders if all(moment_of(text, order) is not None for text in every)]
    if len(orders) > 1:
        text = f'column "{name}" holds dates whose day and month cannot be told apart; the day was taken to come first'
        findings.append(Finding("warning", text, len(known), len(known), tuple(every[:3]), "write dates as YYYY-MM-DD"))
    return orders[0] if orders else ""


def _date(
    series: pl.Series, name: str, order: str, missing: Sequence[str], findings: list[Finding]
) -> dict[str, Any] | None:
    pieces = [series.slice(start, PIECE).to_list() for start in range(0, len(series), PIECE)]
    when = np.concatenate([moments(piece, name, missing, order) for piece in pieces])
    absent = np.isnat(when)
    split = {which: part(when, which) for which in _PARTS}
    parts = [which for which, found in split.items() if len(np.unique(found[~absent])) > 1]
    if not parts:
        findings.append(
            Finding("warning", f'column "{name}" is always the same date and is left out', len(series), len(series))
        )
        return None
    findings.append(Finding("note", f'column "{name}" holds dates and gives {", ".join(parts)}', len(series), len(series)))
    fill = [float(np.median(split[which][~absent])) for which in parts]
    scales = [_scale(np.where(absent, f, split[which])) for f, which in zip(fill, parts)]
    return {
        "name": name, "type": "date", "order": order, "parts": parts, "fill": fill, "mean": [m for m, _ in scales],
        "std": [s for _, s in scales], "indicator": bool(absent.any()),
    }  # fmt: skip


def features(column: Mapping[str, Any]) -> list[str]:
    """The names of the features that a column gives."""
    name = column["name"]
    if column["type"] == "number":
        own = [name]
    elif column["type"] == "date":
        own = [f"{name}.{which}" for which in column["parts"]]
    else:
        own = [f"{name}={word}" for word in column["levels"]] + ([f"{name}=(other)"] if column["other"] else [])
    return own + ([f"{name}=(missing)"] if column["indicator"] else [])


def _groups(column: dict[str, Any]) -> list[int]:
    """How many features belong together: all levels of a category, each number by itself."""
    size = len(features(column))
    return [size] if column["type"] == "category" else [1] * size
