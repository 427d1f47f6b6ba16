"""The true metric, once labels are there: accuracy with Wilson's interval, or errors of values with a bootstrap's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.measure import Measure, resampled_means, wilson
from tuneful.runtime import answers
from tuneful.runtime.watch.samples import Floats

RESAMPLES = 1000


def right(kind: str, labels: Sequence[str], told_NW: Floats, truth: NDArray[Any]) -> Floats:
    """0 or 1 for each example [N]: is the most probable class (every label, of several) the true one?"""
    if kind == "multilabel":
        return ((told_NW >= answers.THRESHOLD) == (truth >= answers.THRESHOLD)).all(axis=1).astype(np.float64)
    return (told_NW[:, : len(labels)].argmax(axis=1) == truth).astype(np.float64)


def measured(right_N: Floats) -> dict[str, Measure]:
    """Of classes."""
    return {"accuracy": wilson(float(right_N.sum()), len(right_N))}


def errors(told: Floats, truth: Floats) -> dict[str, Measure]:
    """Of values [N]: RMSE and MAE."""
    off = np.asarray(told - truth, dtype=np.float64)
    if not len(off):
        return {}
    found: dict[str, Measure] = {}
    for name, each, back in (("rmse", off**2, np.sqrt), ("mae", np.abs(off), np.asarray)):
        drawn = back(resampled_means(each[:, None], RESAMPLES)[:, 0])
        low, high = (float(end) for end in np.quantile(drawn, (0.025, 0.975)))
        value = float(back(each.mean()))
        found[name] = Measure(
            value, min(low, value), max(high, value), len(off), how=f"bootstrap 95 %, {RESAMPLES} resamples"
        )
    return found


__all__ = ["errors", "measured", "right"]
