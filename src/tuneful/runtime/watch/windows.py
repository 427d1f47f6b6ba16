"""Cutting what was recorded into windows, by count or by time, each whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from tuneful.core.errors import TunefulError
from tuneful.runtime.watch.samples import Floats

UNITS = {"min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
LEAST, MOST = 100, 1000  # examples of a window that nobody gave a size
MANY = 2000  # windows at most


def cut(times: Floats, size: str = "auto") -> list[slice]:
    """Windows of so many examples ("500") or so much time ("6h", "1d"); examples that fill no window are in none.

    auto: a tenth of all, but LEAST to MOST.  Raises TunefulError.
    """
    if size == "auto":
        return list(_counted(len(times), int(min(MOST, max(LEAST, len(times) // 10)))))
    if size.strip().isdigit():
        if int(size) < 2:
            raise TunefulError(f"the window is {size.strip()} examples; it must be at least 2")
        return list(_counted(len(times), int(size)))
    length = seconds(size)
    if not len(times):
        return []
    number = np.floor((times - times[0]) / length).astype(np.int64)
    ends = np.flatnonzero(np.diff(number)) + 1  # the last is not over yet
    begins = np.concatenate([[0], ends])[:-1]
    return [slice(int(a), int(b)) for a, b in zip(begins, ends)][-MANY:]


def seconds(text: str) -> float:
    """A time as it is written.

    >>> seconds("1d")
    86400.0

    Raises: TunefulError.
    """
    found = _WRITTEN.fullmatch(text.strip().lower())
    if not found or found[2] not in UNITS or float(found[1]) <= 0:
        raise TunefulError(
            f"{text!r} is no time", f"such as 6h or 1d (or, of a window, 500 examples); the units are {', '.join(UNITS)}"
        )
    return float(found[1]) * UNITS[found[2]]


def _counted(count: int, size: int) -> Iterator[slice]:
    begins = list(range(0, count - size + 1, size))[-MANY:]
    return (slice(at, at + size) for at in begins)


__all__ = ["LEAST", "MOST", "cut", "seconds"]
