"""Metrics of numbers: one target [N], or several side by side [N, M]."""

from __future__ import annotations

import numpy as np

from tuneful.pipeline.metrics.table import Array, Floats


def rows(name: str, p: Array, y: Array) -> Floats:
    """Numbers [n, k] per example, whose means `finish` turns into the metric."""
    p, y = p.astype(np.float64), y.astype(np.float64)
    if name in ("mae", "mae_mean"):
        return np.abs(p - y).reshape(len(y), -1).mean(axis=1, keepdims=True)
    squares = ((p - y) ** 2).reshape(len(y), -1)
    if name in ("mse", "rmse"):  # of several columns, the steps of a forecast, the mean over all
        return squares.mean(axis=1, keepdims=True)
    if name == "rmse_mean":
        return squares
    centred = (y - y.mean(axis=0)).reshape(len(y), -1)
    return np.hstack([squares, centred**2, centred])


def finish(name: str, means: Floats) -> Floats:
    """Means of rows [..., k] to the metric [...]; NaN where it is undefined (R2 of equal targets)."""
    if name == "rmse":
        return np.sqrt(np.maximum(means[..., 0], 0))
    if name == "rmse_mean":
        return np.sqrt(np.maximum(means, 0)).mean(axis=-1)
    if name in ("r2", "r2_mean", "rmse_scaled"):
        error, square, mean = np.split(means, 3, axis=-1)
        variance = square - mean**2
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(variance > 0, error / variance, np.nan)
        return np.sqrt(np.maximum(ratio, 0)).mean(axis=-1) if name == "rmse_scaled" else 1 - ratio.mean(axis=-1)
    return means[..., 0]
