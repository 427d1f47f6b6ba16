"""What filling and clipping did to the cells of a table, counted for every split; and numbers so far off that clipping may help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.pipeline.cells import Frame
from tuneful.pipeline.filling import concerned, said
from tuneful.pipeline.ledger import Ledger
from tuneful.runtime.preprocess import MISSING, is_number
from tuneful.techniques.cleaners import Clip, Filler, Impute

if TYPE_CHECKING:
    import polars as pl

FAR = 20.0  # median deviations (1.4826 of them are a standard deviation of a normal distribution) from the median


def count(ledger: Ledger, schema: Mapping[str, Any], frames: Mapping[str, Frame], ranks: bool) -> list[Finding]:
    """Write down what each step did to the cells of each split, the filling that nobody asked for too; findings on numbers that
    lie far off, where nothing clips them. frames: the splits as they were given. Raises DataError for a step on a column that is
    left out."""
    steps = ledger.of(Filler)
    columns = {str(column["name"]): column for column in schema["columns"]}
    for step in steps:
        if gone := next((name for name in step.named if name not in columns), None):
            kind = step.as_data()["kind"]
            raise DataError(
                f'clean.{kind} names column "{gone}", which is left out, so that nothing is learned from it',
                f"keep={gone} keeps it; the findings of `tuneful check` without {kind} say why it is left out",
            )
    lost = {split: {n: missing(frame[n], columns[n], schema) for n in columns} for split, frame in frames.items()}
    fills = {name: next((s for s in concerned(steps, name) if isinstance(s, Impute)), None) for name in columns}
    for step in (*(one for one in steps if isinstance(one, Impute)), None):
        named = [name for name, by in fills.items() if by is step]
        any_lost = any(lost[split][name].any() for split in frames for name in named)
        if step is None and not any_lost:
            continue
        for split, frame in frames.items():
            counts = {name: int(lost[split][name].sum()) for name in named}
            shown = [f"{name}: {n}, {said(columns[name])}" for name, n in counts.items() if n]
            what = "cells that miss a value are filled in" if shown else "cells miss no value"
            ledger.tell(step or Impute(), split, what, sum(counts.values()), frame.height * len(named), shown,
                        asked=step is not None)  # fmt: skip
    for step in (one for one in steps if isinstance(one, Clip)):
        named = [name for name in columns if step in concerned(steps, name) and "low" in columns[name]]
        for split, frame in frames.items():
            beyond = {name: _beyond(frame[name], columns[name], schema) for name in named}
            shown = [f"{n}: {k} beyond {columns[n]['low']:.4g} to {columns[n]['high']:.4g}" for n, k in beyond.items() if k]
            ledger.tell(
                step, split, "numbers are brought to the edge", sum(beyond.values()), frame.height * len(named), shown
            )
    return [] if ranks else _far(frames["train"], columns.values(), schema)


def missing(series: pl.Series, column: Mapping[str, Any], schema: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which cells of a column count as missing, as `runtime.preprocess` sees them."""
    if column["type"] == "number":
        return np.isnan(_numbers(series, column, schema))
    words = [word.casefold() for word in (*MISSING, *schema.get("missing", ()))]
    if series.dtype.is_numeric():
        return series.cast(float).fill_null(float("nan")).is_nan().to_numpy()
    text = series.fill_null("").str.strip_chars()
    known = column.get("levels", ())
    lost = text.str.to_lowercase().is_in([word for word in words if word not in known])
    return lost.to_numpy()


def _numbers(series: pl.Series, column: Mapping[str, Any], schema: Mapping[str, Any]) -> NDArray[np.float64]:
    """A column of numbers, NaN where a value is missing."""
    if not series.dtype.is_numeric() and column.get("decimal", ".") != ".":
        series = series.str.replace(column["decimal"], ".", literal=True)
    found = series.cast(float, strict=False).fill_null(float("nan")).to_numpy().copy()
    codes = [float(word) for word in (*schema.get("missing", ()), *column.get("words", ())) if is_number(word)]
    found[~np.isfinite(found) | np.isin(found, codes)] = np.nan
    return found


def _beyond(series: pl.Series, column: Mapping[str, Any], schema: Mapping[str, Any]) -> int:
    found = _numbers(series, column, schema)
    return int(((found < column["low"]) | (found > column["high"])).sum())


def _far(frame: Frame, columns: Any, schema: Mapping[str, Any]) -> list[Finding]:
    far: dict[str, int] = {}
    for column in columns:
        if column["type"] != "number" or "low" in column:
            continue
        found = _numbers(frame[column["name"]], column, schema)
        middle = np.nanmedian(found)
        spread = np.nanmedian(np.abs(found - middle))
        if spread > 0 and (count := int((np.abs(found - middle) > FAR * 1.4826 * spread).sum())):
            far[column["name"]] = count
    if not far:
        return []
    shown: Sequence[str] = [f"{name}: {n}" for name, n in sorted(far.items(), key=lambda one: -one[1])[:5]]
    text = f"numbers of train lie more than {FAR:g} deviations from the middle of their column"
    hint = f"clean='clip(mads={FAR:g})' brings them to the edge, scale=ranks makes them matter less"
    return [Finding("note", text, sum(far.values()), frame.height * len(far), tuple(shown), hint)]


__all__ = ["FAR", "count", "missing"]
