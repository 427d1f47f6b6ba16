"""Page-Hinkley: a sum that grows while a score lies above its mean, with a threshold that is calibrated, not guessed.

    up_t = max(0, up_(t-1) + z_t - d),   down_t = max(0, down_(t-1) - z_t - d),   z_t = (s_t - mean) / std of the reference
    alarm when max(up_t, down_t) > h;    d: half of the smallest shift worth an alarm, in standard deviations

The threshold h that is passed with a chance `rate` in `horizon` quiet examples is found by resampling the reference, the reference
itself included (so that its own error is in it). The largest excursion of a long walk follows Gumbel's law, by which small rates
are reached from simulated ones.

Sources: Page, Biometrika 1954; Hinkley, Biometrika 1971; Siegmund, Sequential Analysis 1985 (the law of the maximum).
"""

from __future__ import annotations

import math

import numpy as np

from tuneful.runtime.watch.samples import Floats

WALKS, STEPS = 300, 4000  # simulated; a horizon beyond is reached by Gumbel's law


class PageHinkley:
    """One stream of scores. rate: of false alarms in `horizon` examples; shift: that is to be found, in standard deviations."""

    def __init__(self, reference: Floats, rate: float, horizon: int, shift: float = 0.5, seed: int = 0) -> None:
        told = np.asarray(reference, dtype=np.float64)
        self._mean, self._std = float(told.mean()), float(told.std()) or 1.0
        self._slack, self._seed = shift / 2, seed
        self.threshold = calibrated(told, rate, horizon, self._slack, seed)
        self._up = self._down = 0.0

    def step(self, score: float) -> bool:
        """One more score: is there an alarm? After one the sums begin anew."""
        if math.isnan(score):
            return False
        z = (score - self._mean) / self._std
        self._up = max(0.0, self._up + z - self._slack)
        self._down = max(0.0, self._down - z - self._slack)
        if max(self._up, self._down) <= self.threshold:
            return False
        self._up = self._down = 0.0
        return True


def calibrated(reference: Floats, rate: float, horizon: int, slack: float, seed: int = 0) -> float:
    """The threshold that quiet scores pass with a chance of `rate` within `horizon`."""
    middle, spread, least = excursions(reference, horizon, slack, seed)
    return max(middle - spread * math.log(-math.log1p(-rate)), least)


def excursions(reference: Floats, horizon: int, slack: float, seed: int = 0) -> tuple[float, float, float]:
    """Gumbel's law of the largest excursion within `horizon` quiet scores: (middle, spread); and the median of those simulated."""
    dice = np.random.default_rng(seed)
    steps = min(STEPS, horizon)
    known = dice.integers(len(reference), size=(WALKS, len(reference)))  # the reference as it might have been drawn
    mean, std = reference[known].mean(axis=1), reference[known].std(axis=1)
    scale = np.where(std > 0, std, 1.0)
    up, down, most = (np.zeros(WALKS) for _ in range(3))
    for _ in range(steps):
        z = (reference[dice.integers(len(reference), size=WALKS)] - mean) / scale
        up, down = np.maximum(0, up + z - slack), np.maximum(0, down - z - slack)
        most = np.maximum(most, np.maximum(up, down))
    # by moments: P(max <= h) = exp(-exp(-(h - middle) / spread)), and k horizons move the middle by spread ln k
    spread = float(most.std(ddof=1)) * math.sqrt(6) / math.pi
    middle = float(most.mean()) - 0.5772156649 * spread + spread * math.log(horizon / steps)
    return middle, spread, float(np.median(most))


__all__ = ["PageHinkley", "calibrated", "excursions"]
