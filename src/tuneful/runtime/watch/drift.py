"""Which columns are not what they were: one test each, corrected for their number, with the size of what was found.

auto takes Kolmogorov-Smirnov for numbers and chi-squared for categories, whose chances can be had as small as a correction for many
columns asks; psi, wasserstein and mmd are asked for by name. Missing values are one more column where there are any. Rows of answers as
a whole go through mmd besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuneful.core.errors import TunefulError
from tuneful.runtime.watch.chi_squared import chi_squared
from tuneful.runtime.watch.columns import Column, Columns, Key, missing
from tuneful.runtime.watch.corrected import CORRECTIONS
from tuneful.runtime.watch.ks import ks
from tuneful.runtime.watch.mmd import mmd
from tuneful.runtime.watch.psi import psi
from tuneful.runtime.watch.samples import Floats, Found, Levels, Numbers
from tuneful.runtime.watch.wasserstein import wasserstein

TESTS = ("auto", "ks", "chi_squared", "psi", "wasserstein")
MANY = 20_000  # deals at most, where p comes from permutation


@dataclass(frozen=True)
class Shift:
    """What a test says of one column. p: corrected; drifted: p is at most the level."""

    key: Key
    found: Found
    p: float
    drifted: bool

    @property
    def name(self) -> str:
        return self.key[1]


def compared(
    before: Columns, now: Columns, level: float, test: str = "auto", correction: str = "holm",
    together: Mapping[Key, tuple[Floats, Floats]] | None = None,
) -> list[Shift]:  # fmt: skip
    """Every column that both have, the most surprising first.

    level: of all tests together. together: rows [N, D] before and now, each pair tested as a whole by mmd.
    Raises: TunefulError for a test or a correction that there is not.
    """
    if test not in TESTS:
        raise TunefulError(f"there is no test {test!r}", f"the tests are {', '.join(TESTS)}")
    if correction not in CORRECTIONS:
        raise TunefulError(f"there is no correction {correction!r}", f"the corrections are {', '.join(CORRECTIONS)}")
    pairs = paired(before, now)
    count = len(pairs) + len(together or {})
    permuted = min(MANY, max(999, math.ceil(2 * count / level)))
    tested: list[tuple[Key, Found]] = [(key, by_test(test, a, b, permuted)) for key, a, b in pairs]
    tested += [(key, mmd(a, b, permuted)) for key, (a, b) in (together or {}).items()]
    corrected = CORRECTIONS[correction]([found.p for _, found in tested])
    shifts = [Shift(key, found, float(p), bool(p <= level)) for (key, found), p in zip(tested, corrected)]
    return sorted(shifts, key=lambda one: (one.found.p, -one.found.size))


def paired(before: Columns, now: Columns) -> list[tuple[Key, Column, Column]]:
    """The columns that both have, missing values beside them."""
    found: list[tuple[Key, Column, Column]] = []
    for key, a in before.items():
        b = now.get(key)
        if b is None or isinstance(a, Numbers) != isinstance(b, Numbers):
            continue
        found.append((key, a, b.like(a) if isinstance(a, Numbers) and isinstance(b, Numbers) else b))
        if a.missing or b.missing:
            found.append(((key[0], f"{key[1]} is missing"), missing(a), missing(b)))
    return found


def by_test(test: str, before: Column, now: Column, permuted: int) -> Found:
    """One test of one column; a test that does not suit the kind of column gives way to the one that does."""
    if isinstance(before, Levels):
        assert isinstance(now, Levels)
        return psi(before, now) if test == "psi" else chi_squared(before, now)
    assert isinstance(now, Numbers)
    if test == "wasserstein":
        return wasserstein(before, now, permuted)
    known: dict[str, Callable[[Numbers, Numbers], Found]] = {"psi": psi}
    return known.get(test, ks)(before, now)


def told(shifts: Sequence[Shift]) -> list[dict[str, Any]]:
    """Shifts as plain data."""
    return [
        {"part": one.key[0], "name": one.key[1], "test": one.found.test, "statistic": one.found.statistic, "raw_p": one.found.p, "p": one.p,
         "size": one.found.size, "unit": one.found.unit, "drifted": one.drifted}
        for one in shifts
    ]  # fmt: skip


__all__ = ["TESTS", "Shift", "compared", "paired", "by_test", "told"]
