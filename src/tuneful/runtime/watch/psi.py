"""Population stability index, judged by its own null instead of by the customary 0.1 and 0.25.

    PSI = sum_b (q_b - p_b) ln(q_b / p_b)          p before, q now, over ten bins that held equally many before

Without any drift PSI is about (1/n + 1/m) times chi-squared with (bins - 1) degrees: with 100 values now, 0.1 is passed by chance
alone nearly half of the time; with 10,000, a drift that passes 0.1 is enormous. So p is taken from this law, and PSI itself is
told as the size. Bins of which fewer than RARE are expected join their neighbour; half a count stands where there is none.

Sources: Lewis, An Introduction to Credit Scoring 1994 (the index, symmetrized Kullback-Leibler of Jeffreys 1946); Yurdakul,
Statistical Properties of Population Stability Index, 2018 (its law).
"""

from __future__ import annotations

import math

import numpy as np

from tuneful.runtime.watch.chi_squared import RARE, merged
from tuneful.runtime.watch.samples import NOTHING, Floats, Found, Levels, Numbers
from tuneful.runtime.watch.tails import chi_squared_tail

BINS = 10


def psi(before: Numbers | Levels, now: Numbers | Levels) -> Found:
    """Two samples of numbers, or two counts of levels."""
    if isinstance(before, Levels) and isinstance(now, Levels):
        table = merged(before, now)
    elif isinstance(before, Numbers) and isinstance(now, Numbers):
        table = binned(before, now)
    else:
        raise TypeError("psi compares numbers with numbers, or levels with levels")
    if table.shape[1] < 2 or not (table.sum(axis=1) > 0).all():
        return Found("psi", 0.0, NOTHING, 0.0, "PSI")
    n, m = table.sum(axis=1)
    # half a count keeps an empty bin's logarithm finite; expected counts of 5 and more make that rare under no drift
    p, q = (np.maximum(row, 0.5) / np.maximum(row, 0.5).sum() for row in table)
    value = float(((q - p) * np.log(q / p)).sum())
    tail = chi_squared_tail(value / (1 / n + 1 / m), table.shape[1] - 1)
    return Found("psi", value, tail, value, "PSI")


def binned(before: Numbers, now: Numbers) -> Floats:
    """Counts [2, B] in bins that hold equally many of `before`, RARE of either sample at least."""
    if not before.n or not now.n:
        return np.zeros((2, 0))
    bins = int(min(BINS, max(1.0, min(before.n, now.n) // RARE)))
    inner = np.quantile(before.values, np.arange(1, bins) / bins)
    edges = np.array([*np.unique(inner), math.inf])
    told = [side.n * np.diff(side.below(edges), prepend=0.0) for side in (before, now)]
    table = np.round(np.array(told))
    return table[:, table.sum(axis=0) > 0]


__all__ = ["BINS", "binned", "psi"]
