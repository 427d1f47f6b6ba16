"""Metrics of classes that have an order: how far off the predicted level is. p [N, L], y [N] numbers of levels.

    rank error         mean of |predicted - true| in levels
    quadratic kappa    1 - E (q - y)^2 / (E q^2 + E y^2 - 2 E q E y): the squared miss over that of a guess with the same shares

Source: Cohen, Psychological Bulletin 70, 1968 (weighted kappa). The most probable level is the predicted one.
"""

from __future__ import annotations

import numpy as np

from tuneful.pipeline.metrics.table import Array, Floats


def rows(name: str, p: Array, y: Array) -> Floats:
    """Numbers [n, k] per example, whose means `finish` turns into the metric."""
    q, y = p.argmax(axis=1).astype(np.float64), y.astype(np.float64)
    if name == "rank_error":
        return np.abs(q - y)[:, None]
    return np.stack([(q - y) ** 2, q, q**2, y, y**2], axis=1)


def kappa(means: Floats) -> Floats:
    """Means of rows [..., 5] to the quadratic kappa; NaN where all is one level."""
    miss, q, q2, y, y2 = np.moveaxis(means, -1, 0)
    chance = q2 + y2 - 2 * q * y
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(chance > 1e-15, 1 - miss / chance, np.nan)
