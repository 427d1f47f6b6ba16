"""Kolmogorov-Smirnov: the largest distance between two distribution functions, with its exact null where that can be counted.

    D = sup_x |F(x) - G(x)|

Under no drift every order of the n + m values is as likely as any other, so P(D >= d) is the share of lattice paths from (0, 0) to
(n, m) that leave the band |i / n - j / m| < d; they are counted row by row. Beyond COUNTED cells the limit is taken:
P(K > d sqrt(nm / (n + m))). Ties (rounded values) make the test cautious.

Sources: Smirnov, Bulletin Mathematique de l'Universite de Moscou 1939; Hodges, Arkiv for Matematik 1958 (counting paths).
"""

from __future__ import annotations

import math

import numpy as np

from tuneful.runtime.watch.samples import NOTHING, Found, Numbers
from tuneful.runtime.watch.tails import kolmogorov_tail

COUNTED = 4_000_000  # cells of the table of paths: about 20 ms

ROUNDED = 1e-10  # below it what is counted is rounding, and the limit is told


def ks(before: Numbers, now: Numbers) -> Found:
    """Two samples of numbers. size: D, in [0, 1]."""
    n, m = before.n, now.n
    if not n or not m:
        return Found("ks", 0.0, NOTHING, 0.0, "largest distance")
    edges = np.unique(np.concatenate([before.values, now.values]))
    gaps = [np.abs(before.below(edges, side) - now.below(edges, side)).max() for side in ("right", "left")]
    d = float(max(gaps))
    limit = kolmogorov_tail(d * math.sqrt(n * m / (n + m)))
    p = counted(d, n, m) if n * m <= COUNTED else limit
    p = p if p > ROUNDED else limit
    return Found("ks", d, p, d, "largest distance")


def counted(d: float, n: int, m: int) -> float:
    """P(D >= d), exact for values without ties."""
    n, m = min(n, m), max(n, m)  # few rows, long ones
    limit = math.ceil(d * n * m - 1e-6 * max(1.0, d * m))  # in units of 1 / (nm)
    if limit <= 0:
        return 1.0
    # inside[j]: share of all paths to (i, j) that stayed in the band, times what keeps it in range
    high = min(m, (limit - 1) // n)
    inside, log = np.zeros(m + 1), 0.0
    inside[: high + 1] = 1.0
    for i in range(1, n + 1):
        low = max(0, math.floor((i * m - limit) / n) + 1)
        high = min(m, math.ceil((i * m + limit) / n) - 1)
        if low > high:
            return 1.0
        inside[:low] = 0.0
        inside[low : high + 1] = np.cumsum(inside[low : high + 1])
        inside[high + 1 :] = 0.0
        top = float(inside[high])
        if top <= 0:
            return 1.0
        inside /= top
        log += math.log(top)
    if inside[m] <= 0:
        return 1.0
    kept = log + math.log(inside[m]) + math.lgamma(n + 1) + math.lgamma(m + 1) - math.lgamma(n + m + 1)
    return min(1.0, max(0.0, -math.expm1(min(0.0, kept))))


__all__ = ["counted", "ks"]
