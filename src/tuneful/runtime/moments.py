"""Times that follow one another evenly: written dates, the step between them, and the moments that come next. numpy only.

A step is plain data: {"unit": "second" | "weekday" | "month" | "row", "count": k} and, of months, "offset": seconds from the
first of the month ("end": true: back from the first of the next). Rows without dates have the step {"unit": "row", "count": 1}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.runtime.preprocess import MISSING, cell

Times = NDArray[np.datetime64]
Step = Mapping[str, Any]
ORDERS = ("ymd", "ym", "dmy", "mdy")
CYCLES = {"day": 86_400.0, "week": 604_800.0, "year": 365.2425 * 86_400}
"""The periods of a calendar, in seconds."""

_WRITTEN = re.compile(
    r"(\d{1,4})([-/.])(\d{1,2})(?:\2(\d{1,4}))?"  # two or three numbers, one separator
    r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?)?"  # time of day; parts of seconds are not kept
    r"\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?"  # a zone is not converted
)
_NEXT = 86_400 * 28  # seconds from which a step may be one of months


def written(text: str, order: str) -> np.datetime64 | None:
    """A written moment, or None when it is none in this order of year, month and day ("ym": a month of a year)."""
    found = _WRITTEN.fullmatch(text)
    if found is None or (found[4] is None) != (order == "ym"):
        return None
    given = {"d": "1"} | dict(zip(order, (found[1], found[3], found[4]), strict=False))
    if len(given["y"]) != 4 or len(given["m"]) > 2 or len(given["d"]) > 2:
        return None
    clock = f"T{int(found[5]):02}:{found[6]}:{found[7] or '00'}" if found[5] else ""
    try:
        return np.datetime64(f"{given['y']}-{int(given['m']):02}-{int(given['d']):02}{clock}", "s")
    except ValueError:
        return None


def read(values: Sequence[Any] | NDArray[Any], name: str, order: str) -> Times:
    """A column of times as datetime64[s]. Raises DataError at the first value that is none."""
    out = np.empty(len(values), dtype="datetime64[s]")
    for row, value in enumerate(values):
        text = cell(value)
        moment = written(text, order)
        if moment is None:
            form = "-".join({"y": "YYYY", "m": "MM", "d": "DD"}[letter] for letter in order)
            met = "nothing" if text.casefold() in MISSING else repr(text)
            raise DataError(
                f'column "{name}" holds {met} in row {row + 1}; it must be a time like {form}, with or without a clock',
                "each row of a series needs its time",
            )
        out[row] = moment
    return out


def orders(values: Sequence[Any]) -> list[str]:
    """The orders of year, month and day in which all of these are dates."""
    few = [cell(value) for value in values[:50]]
    likely = [order for order in ORDERS if few and all(written(text, order) is not None for text in few)]
    return [order for order in likely if all(written(cell(value), order) is not None for value in values)]


def step_of(times: Times) -> Step:
    """The commonest step of sorted times without repetitions, three or more."""
    months = times.astype("datetime64[M]")
    gaps = np.diff(times.astype(np.int64))
    if gaps.min() >= _NEXT:
        offsets = (times - months.astype("datetime64[s]")).astype(np.int64)
        ends = ((months + 1).astype("datetime64[s]") - times).astype(np.int64)
        for offset, end in ((offsets, False), (ends, True)):
            if (offset == offset[0]).all():
                return {
                    "unit": "month",
                    "count": _common(np.diff(months.astype(np.int64))),
                    "offset": int(offset[0]),
                    "end": end,
                }
    common = _common(gaps)
    days = times.astype("datetime64[D]")
    if common == 86_400 and np.is_busday(days).all() and (gaps % 86_400 == 0).all() and (gaps > 86_400).any():
        return {"unit": "weekday", "count": 1, "offset": int((times[0] - days[0].astype("datetime64[s]")).astype(np.int64))}
    return {"unit": "second", "count": common}


def _common(gaps: NDArray[np.int64]) -> int:
    known, counts = np.unique(gaps, return_counts=True)
    return int(known[counts.argmax()])


def counted(times: Times, step: Step, start: Any) -> NDArray[np.float64]:
    """How many steps each moment lies behind `start`; whole numbers where they lie on its grid."""
    unit, count = step["unit"], int(step["count"])
    if unit == "second":
        return (times - start).astype(np.int64) / count
    if unit == "weekday":
        whole = np.busday_count(start.astype("datetime64[D]"), times.astype("datetime64[D]")).astype(np.float64)
        there = times.astype("datetime64[D]").astype("datetime64[s]") + np.timedelta64(int(step["offset"]), "s")
        return np.where((there == times) & np.is_busday(times.astype("datetime64[D]")), whole, whole + 0.5)
    months = times.astype("datetime64[M]")
    whole = (months - start.astype("datetime64[M]")).astype(np.int64) / count
    off = np.asarray(_of_months(months, step) != times, dtype=np.float64)
    return whole + 0.5 * off / count


def at(numbers: NDArray[np.int64], step: Step, start: np.datetime64) -> Any:
    """The moments so many steps behind `start`: the inverse of `counted`."""
    unit, far = step["unit"], np.asarray(numbers, dtype=np.int64) * int(step["count"])
    if unit == "second":
        return start + far.astype("timedelta64[s]")
    if unit == "weekday":
        days = np.busday_offset(start.astype("datetime64[D]"), far)
        return days.astype("datetime64[s]") + np.timedelta64(int(step["offset"]), "s")
    return _of_months(start.astype("datetime64[M]") + far.astype("timedelta64[M]"), step)


def _of_months(months: Any, step: Step) -> Any:
    offset = np.timedelta64(int(step["offset"]), "s")
    if step.get("end"):
        return (months + 1).astype("datetime64[s]") - offset
    return months.astype("datetime64[s]") + offset


def seconds(step: Step) -> float:
    """How long a step is, about; 0 of rows without dates."""
    each = {"second": 1.0, "weekday": 7 / 5 * 86_400, "month": CYCLES["year"] / 12, "row": 0.0}
    return each[step["unit"]] * step["count"]


def cycles(step: Step, rows: int) -> list[str]:
    """The cycles of the calendar that such times vary over, and of which so many rows see one or more."""
    long = seconds(step)
    if not long:
        return []
    found = [name for name, period in CYCLES.items() if 1.999 * long <= period <= long * rows]
    return [name for name in found if not (name == "day" and step["unit"] == "weekday")]


def season(step: Step) -> int:
    """How many steps the shortest cycle of the calendar has, where that is a whole number: 24 of hours, 7 of days, 12 of
    months, 5 of weekdays; 0 where it has none."""
    if step["unit"] == "weekday":
        return 5
    if step["unit"] == "month":
        return 12 // step["count"] if 12 % step["count"] == 0 and step["count"] < 12 else 0
    long = seconds(step)
    for period in (CYCLES["day"], CYCLES["week"]):
        if long and period % long == 0 and period / long >= 2:
            return int(period / long)
    return 0


def week(step: Step) -> int:
    """How many steps a week has, of steps shorter than a day; 0 of others."""
    long = seconds(step)
    return round(CYCLES["week"] / long) if step["unit"] == "second" and long < CYCLES["day"] else 0


def waves(times: Times, names: Sequence[str]) -> NDArray[np.float32]:
    """[2 * len(names), N]: sine and cosine of where each moment stands in each cycle."""
    out = np.zeros((2 * len(names), len(times)), dtype=np.float32)
    for row, name in enumerate(names):
        if name == "year":
            years = times.astype("datetime64[Y]")
            begin, end = years.astype("datetime64[s]"), (years + 1).astype("datetime64[s]")
            share = (times - begin).astype(np.int64) / (end - begin).astype(np.int64)
        else:
            monday = np.datetime64("1970-01-05", "s")
            share = (times - monday).astype(np.int64) % int(CYCLES[name]) / CYCLES[name]
        out[2 * row], out[2 * row + 1] = np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)
    return out


def said(step: Step) -> str:
    """A step in words: "1 hour", "15 minutes", "1 weekday"."""
    count, unit = int(step["count"]), str(step["unit"])
    if unit == "second":
        for name, size in (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60)):
            if count % size == 0:
                count, unit = count // size, name
                break
    return f"{count} {unit}{'s' if count != 1 else ''}"


def shown(times: Times) -> list[str]:
    """Moments as they are written: 1949-01, 2018-06-26, 2018-06-26 19:00:00."""
    whole = times.astype("datetime64[D]").astype("datetime64[s]")
    if len(times) and (whole == times).all():
        return [str(day) for day in times.astype("datetime64[D]")]
    return [str(moment).replace("T", " ") for moment in times]
