"""Pearson's chi-squared: do two counts of levels come from one law? With an exact test for levels that are rare or new.

    X^2 = sum over levels and samples of (seen - expected)^2 / expected,    chi-squared with (levels - 1) degrees under no drift

This holds for levels of which RARE or more are expected in either sample. All others together, those never seen before among them,
are counted once: how many of them lie in the sample of now is hypergeometric under no drift. Where there are both, p is twice the
smaller of the two.  size: Cramer's V = sqrt(X^2 / N) of all levels, in [0, 1].

Sources: Pearson, Philosophical Magazine 1900; Cochran, Biometrics 1954 (how many are to be expected); Fisher, JRSS 1935 (the exact
test); Cramer 1946, section 21.9.
"""

from __future__ import annotations

import math

import numpy as np

from tuneful.runtime.watch.samples import NOTHING, Floats, Found, Levels
from tuneful.runtime.watch.tails import chi_squared_tail

RARE = 5.0


def chi_squared(before: Levels, now: Levels) -> Found:
    """Two counts of levels."""
    table = counts(before, now)
    total = float(table.sum())
    if table.shape[1] < 2 or not (table.sum(axis=1) > 0).all():
        return Found("chi_squared", 0.0, NOTHING, 0.0, "Cramer's V")
    statistic = _pearson(table)
    often = frequent(table)
    p: list[float] = []
    if often.sum() > 1:
        p.append(chi_squared_tail(_pearson(table[:, often]), int(often.sum()) - 1))
    if not often.all():
        rare = table[:, ~often].sum(axis=1)
        p.append(exact(int(rare[1]), int(rare.sum()), int(table[1].sum()), int(total)))
    return Found("chi_squared", statistic, min(1.0, len(p) * min(p)), math.sqrt(statistic / total), "Cramer's V")


def exact(k: int, rare: int, drawn: int, total: int) -> float:
    """Twice the smaller tail of the hypergeometric law: k of the `rare` things among `total` lie among the `drawn`."""
    low, high = max(0, drawn + rare - total), min(rare, drawn)
    every = _choose(total, drawn)
    chance = [math.exp(_choose(rare, i) + _choose(total - rare, drawn - i) - every) for i in range(low, high + 1)]
    return min(1.0, 2 * min(sum(chance[k - low :]), sum(chance[: k - low + 1])))


def counts(before: Levels, now: Levels) -> Floats:
    """Counts [2, L], the most frequent level first."""
    names = list(dict.fromkeys([*before.counts, *now.counts]))
    table = np.array([[side.counts.get(name, 0) for name in names] for side in (before, now)], dtype=np.float64)
    return table[:, np.argsort(-table.sum(axis=0), kind="stable")]


def frequent(table: Floats) -> np.ndarray:
    """Of which levels are RARE or more expected in the smaller sample? [L] bool"""
    total = table.sum()
    return table.sum(axis=0) * (table.sum(axis=1).min() / total if total else 0.0) >= RARE


def merged(before: Levels, now: Levels) -> Floats:
    """Counts [2, L] of the frequent levels; all others together are the last one, or join the least of them."""
    table = counts(before, now)
    often = frequent(table)
    rest, kept = table[:, ~often].sum(axis=1, keepdims=True), table[:, often]
    if not kept.shape[1] or (rest.sum() and frequent(np.hstack([kept, rest]))[-1]):
        return np.hstack([kept, rest])
    kept[:, -1:] += rest
    return kept


def _pearson(table: Floats) -> float:
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    return float(np.divide((table - expected) ** 2, expected, out=np.zeros_like(table), where=expected > 0).sum())


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


__all__ = ["RARE", "chi_squared", "counts", "exact", "frequent", "merged"]
