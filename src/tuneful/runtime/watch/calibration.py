"""Does confidence mean what it says? Bins of confidence beside the share that is right, and a test of their agreement.

    calibration error = sum over bins of (share of examples) |mean confidence - share right|
    Z = sum (r - c)(1 - 2c) / sqrt(sum (1 - 2c)^2 c (1 - c)),    r 0 or 1;  standard normal while r is 1 with the chance c

Sources: Spiegelhalter, Statistics in Medicine 1986 (Z, from the variance of Brier's score); Naeini et al., AAAI 2015 (the error).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tuneful.core.measure import Measure, wilson
from tuneful.runtime.watch.samples import Floats
from tuneful.runtime.watch.tails import normal_tail

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """error: as above; z and p: of Spiegelhalter's test; bins: (mean confidence, share that is right)."""

    error: float
    z: float
    p: float
    bins: tuple[tuple[float, Measure], ...]


def calibration(confidence: Floats, right: Floats) -> Calibration:
    """confidence [N] in [0, 1]; right [N]: 0 or 1. Bins hold equally many examples."""
    c, r = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if not len(c):
        return Calibration(math.nan, math.nan, 1.0, ())
    parts = np.array_split(np.argsort(c, kind="stable"), min(BINS, max(1, len(c) // 5)))
    bins = tuple((float(c[part].mean()), wilson(float(r[part].sum()), len(part))) for part in parts)
    error = sum(len(part) / len(c) * abs(mean - share.value) for part, (mean, share) in zip(parts, bins))
    spread = float(((1 - 2 * c) ** 2 * c * (1 - c)).sum())
    z = float(((r - c) * (1 - 2 * c)).sum()) / math.sqrt(spread) if spread > 0 else 0.0
    return Calibration(error, z, min(1.0, 2 * normal_tail(abs(z))), bins)


__all__ = ["Calibration", "calibration"]
