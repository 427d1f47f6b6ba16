"""What a column was like, and what it is like now, in the form that every test of drift takes.

A reference of numbers is its values in order, or evenly spaced quantiles of them with the count that they stand for; of
categories, the count of each level. Missing values are counted beside: a change of their share is a drift of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Numbers:
    """values [k]: finite, in ascending order; n: how many they stand for, k where they are all; missing: how many there were besides."""

    values: Floats
    n: int
    missing: int = 0

    @staticmethod
    def of(values: NDArray[np.generic], missing: int = 0) -> Numbers:
        """Of values as they came; what is not finite counts as missing."""
        told = np.asarray(values, dtype=np.float64).ravel()
        there = np.sort(told[np.isfinite(told)])
        return Numbers(there, len(there), missing + len(told) - len(there))

    def like(self, before: Numbers) -> Numbers:
        """These values, those that equal one of `before` but for rounding put equal: a feature that went through float32 comes back a
        little off, and values that occur often would all lie on one side."""
        if not len(self.values) or not len(before.values):
            return self
        at = np.clip(np.searchsorted(before.values, self.values), 1, max(1, len(before.values) - 1))
        low, high = before.values[at - 1], before.values[np.minimum(at, len(before.values) - 1)]
        near = np.where(self.values - low <= high - self.values, low, high)
        reach = 2e-6 * float(before.values.std()) + 2e-7 * np.abs(self.values)
        return Numbers(np.sort(np.where(np.abs(near - self.values) <= reach, near, self.values)), self.n, self.missing)

    def sample(self, most: int) -> Floats:
        """At most so many values that are spread as these are, in order."""
        count = min(self.n, most)
        if count == len(self.values):
            return self.values
        if not len(self.values):
            return self.values
        at = (np.arange(count) + 0.5) / count * len(self.values) - 0.5 if self.n == len(self.values) else None
        if at is not None:  # all are known: take existing ones
            return self.values[np.clip(np.round(at), 0, len(self.values) - 1).astype(int)]
        return np.interp((np.arange(count) + 0.5) / count, np.linspace(0, 1, len(self.values)), self.values)

    def below(self, edges: Floats, side: str = "right") -> Floats:
        """The share of the values at or below each edge (side="left": below it)."""
        if self.n == len(self.values):
            return np.searchsorted(self.values, edges, side=side) / max(1, self.n)  # type: ignore[call-overload]
        ranks = np.linspace(0, 1, len(self.values))
        low = np.searchsorted(self.values, edges, side="left")
        high = np.searchsorted(self.values, edges, side="right")
        inside = np.interp(edges, self.values, ranks)
        tied = high > low  # a value that stands in the table, perhaps at several ranks
        end = ranks[np.clip(high - 1 if side == "right" else low, 0, len(ranks) - 1)]
        found = np.where(tied, end, inside)
        return np.where(high == 0, 0.0, np.where(low == len(ranks), 1.0, found))


@dataclass(frozen=True)
class Levels:
    """counts: of each level; missing: how many had none."""

    counts: Mapping[str, int]
    missing: int = 0

    @staticmethod
    def of(values: Iterable[str], missing: int = 0) -> Levels:
        return Levels(dict(Counter(map(str, values))), missing)

    @property
    def n(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class Found:
    """What a test says. p: the chance of a statistic at least as large were there no drift; size: of the drift, in a unit that does
    not grow with the count (told by `unit`)."""

    test: str
    statistic: float
    p: float
    size: float
    unit: str


NOTHING = 1.0  # p where there is too little to say anything

__all__ = ["NOTHING", "Floats", "Found", "Levels", "Numbers"]
