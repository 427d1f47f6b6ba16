"""The past of a series as a network takes it, the same for training and serving: a grid of times, gaps filled, a window. numpy only.

A schema of kind "forecast" is

    {"kind": "forecast", "shape": [C, T], "time": column or "", "order": of year, month, day, "step": see `moments`,
     "columns": [name, ...], "targets": [name, ...], "cycles": ["day", "week", "year"], "window": T, "horizon": H,
     "season": steps or 0, "missing": [word, ...], "decimal": "." or ","}

Channels are the columns as they are, [V, T], then sine and cosine of each cycle at the moments that lie `horizon` steps ahead, so
that the calendar of what is to be told is in the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.runtime import moments
from tuneful.runtime.preprocess import numbers

MOST_INVENTED = 0.5  # share of rows that may be filled where times are missing


@dataclass(frozen=True)
class Laid:
    """A series on its even grid. values [R, V] without gaps; filled [R]: was anything of this row missing? start: its first
    moment (None where rows have no times); repeated, absent: how many rows were there twice, or not at all."""

    values: NDArray[np.float64]
    filled: NDArray[np.bool_]
    start: np.datetime64 | None
    repeated: int
    absent: int
    cells: int  # values that were missing in rows that were there

    def times(self, schema: Mapping[str, Any], first: int, count: int) -> NDArray[Any]:
        """The moments of `count` rows from number `first` on, also of rows that are still to come."""
        rows = np.arange(first, first + count)
        return rows if self.start is None else moments.at(rows, schema["step"], self.start)


def laid(schema: Mapping[str, Any], columns: Mapping[str, Any]) -> Laid:
    """Columns as one series in the order of time. Raises DataError for a column that is missing, a value that is no number,
    times that are not even, and columns without any value."""
    wanted = [*([schema["time"]] if schema["time"] else []), *schema["columns"]]
    if absent := [name for name in wanted if name not in columns]:
        raise DataError(
            f'column "{absent[0]}" is missing', f"the columns given are {', '.join(map(str, list(columns)[:20])) or 'none'}"
        )
    given = np.stack(
        [numbers(columns[name], name, schema["missing"], schema["decimal"]) for name in schema["columns"]], axis=1
    )
    if not schema["time"]:
        return _filled(schema, given, np.arange(len(given)), None, 0)
    times = moments.read(columns[schema["time"]], schema["time"], schema["order"])
    if len(times) == 0:
        return _filled(schema, given, np.arange(0), None, 0)
    order = np.argsort(times, kind="stable")
    kept = order[np.append(True, np.diff(times[order].astype(np.int64)) > 0)]  # the first of those of one moment
    start = times[kept[0]]
    steps = moments.counted(times[kept], schema["step"], start)
    if (off := steps != np.round(steps)).any():
        raise uneven(schema["time"], schema["step"], times[kept], off)
    place = np.round(steps).astype(np.int64)
    if place[-1] + 1 - len(place) > MOST_INVENTED * len(place):
        raise DataError(
            f"{place[-1] + 1 - len(place)} moments are missing between {moments.shown(times[kept[:1]])[0]} and "
            f'{moments.shown(times[kept[-1:]])[0]} (column "{schema["time"]}", a step is {moments.said(schema["step"])}), and '
            f"{len(place)} are there; at most half as many may be missing",
            "look for a mistyped date, or give a part of the series that is whole",
        )
    return _filled(schema, given[kept], place, start, len(times) - len(kept))


def uneven(name: str, step: Mapping[str, Any], times: NDArray[Any], off: NDArray[np.bool_]) -> DataError:
    """What is said of times that lie on no grid."""
    first = moments.shown(times[off][:1])[0]
    return DataError(
        f'the times of column "{name}" are not even: the commonest step is {moments.said(step)}, and {int(off.sum())} of '
        f"{len(times)} moments lie between such steps (first: {first})",
        "bring the series to even times first, or say time=order to take the rows as evenly spaced",
    )


def _filled(
    schema: Mapping[str, Any], given: NDArray[np.float64], place: NDArray[np.int64], start: Any, repeated: int
) -> Laid:
    """Rows at their places, what is missing on a line between its neighbours."""
    rows = int(place[-1]) + 1 if len(place) else 0
    values = np.full((rows, given.shape[1]), np.nan)
    values[place] = given
    absent = np.isnan(values)
    everything = np.arange(rows)
    for column, name in enumerate(schema["columns"]):
        known = ~absent[:, column]
        if rows and not known.any():
            raise DataError(f'column "{name}" has no value in any of {rows} rows', "take another, or leave it out")
        if not known.all():
            values[:, column] = np.interp(everything, everything[known], values[known, column])
    there = int(absent[place].sum())
    return Laid(values, np.asarray(absent.any(axis=1)), start, repeated, rows - len(place), there)


def channels(schema: Mapping[str, Any], series: Laid) -> NDArray[np.float32]:
    """[C, R]: the columns, and the calendar `horizon` steps ahead of each row."""
    rows = len(series.values)
    found = np.empty((len(schema["columns"]) + 2 * len(schema["cycles"]), rows), dtype=np.float32)
    found[: len(schema["columns"])] = series.values.T
    if schema["cycles"]:
        ahead = series.times(schema, int(schema["horizon"]), rows)
        found[len(schema["columns"]) :] = moments.waves(ahead, schema["cycles"])
    return found


def every(schema: Mapping[str, Any], columns: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """All windows of columns and what followed them: x [N, C, T], y [N, horizon * M]; those with a gap at their newest row or
    in what followed are left out. Raises DataError when none is left."""
    series, window, horizon = laid(schema, columns), int(schema["window"]), int(schema["horizon"])
    targets = [schema["columns"].index(name) for name in schema["targets"]]
    last = np.arange(window - 1, len(series.values) - horizon)
    whole = [row for row in last if not series.filled[row : row + horizon + 1].any()]
    if not whole:
        raise DataError(
            f"there are {len(series.values)} moments and no whole window of {window} with the {horizon} that follow",
            "give a longer stretch of the series",
        )
    found = channels(schema, series)
    x = np.stack([found[:, row - window + 1 : row + 1] for row in whole])
    return x, np.stack([series.values[row + 1 : row + 1 + horizon, targets].ravel() for row in whole])


def newest(schema: Mapping[str, Any], columns: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """(the last window [1, C, T], the `horizon` moments after it) of columns of the past.

    Raises: DataError when there are fewer moments than the window has, or the last one lacks a value.
    """
    series, window = laid(schema, columns), int(schema["window"])
    rows = len(series.values)
    if rows < window:
        raise DataError(
            f"the past has {rows} moments; this model looks at the last {window}",
            f"give {window} rows or more, to the newest",
        )
    if series.filled[-1]:
        raise DataError("the last row lacks a value, and nothing after it tells what it was", "end with a row that is whole")
    x = channels(schema, series)[None, :, -window:]
    return np.ascontiguousarray(x), series.times(schema, rows, int(schema["horizon"]))
