"""Wasserstein's distance: how far the mass must be moved on average to make one sample the other.

    W = integral |F(x) - G(x)| dx;      told in units of the scale of `before` (its standard deviation)

The null is that of permutation: both samples are mixed and dealt anew, PERMUTED times, and p = (1 + how often W is as large) / (1 +
PERMUTED), which is exact for exchangeable values. It sees a shift of the mean that KS sees too, and far outliers that KS does not.

Sources: Kantorovich 1942; Ramdas, Garcia Trillos & Cuturi, Entropy 2017 (two-sample tests); Phipson & Smyth, Statistical Applications
in Genetics and Molecular Biology 2010 (the 1 in p).
"""

from __future__ import annotations

import numpy as np

from tuneful.runtime.watch.samples import NOTHING, Found, Numbers

MOST, PERMUTED = 1000, 999  # values of either sample; deals
AT_ONCE = 500
ENOUGH = 20  # deals as large as what was seen, after which p is known well enough (Besag & Clifford, Biometrika 1991)


def wasserstein(before: Numbers, now: Numbers, permuted: int = PERMUTED, seed: int = 0) -> Found:
    """Two samples of numbers. The same seed gives the same p."""
    a, b = before.sample(MOST), now.sample(MOST)
    if len(a) < 2 or len(b) < 2:
        return Found("wasserstein", 0.0, NOTHING, 0.0, "standard deviations")
    scale = float(a.std()) or float(np.abs(a).max()) or 1.0
    both = np.concatenate([a, b])
    order = np.argsort(both, kind="stable")
    widths = np.diff(both[order])
    first = (order < len(a)).astype(np.float64)
    seen = float(_distances(first[None], widths, len(a), len(b))[0])
    dice, more, done = np.random.default_rng(seed), 0, 0
    while done < permuted and more < ENOUGH:
        count = min(AT_ONCE, permuted - done)
        dealt = dice.permuted(np.tile(first, (count, 1)), axis=1)
        more += int((_distances(dealt, widths, len(a), len(b)) >= seen * (1 - 1e-12)).sum())
        done += count
    return Found("wasserstein", seen / scale, (1 + more) / (1 + done), seen / scale, "standard deviations")


def _distances(first: np.ndarray, widths: np.ndarray, n: int, m: int) -> np.ndarray:
    """W of each deal. first [P, n + m]: 1 where the value in order is of the first sample."""
    share = np.cumsum(first, axis=1)[:, :-1]
    return (np.abs(share / n - (np.arange(1, n + m) - share) / m) * widths).sum(axis=1)


__all__ = ["MOST", "PERMUTED", "wasserstein"]
