"""Metrics of classes, of which one is right: p [N, L] probabilities, y [N] class numbers; and what is counted of labels.

Definitions follow scikit-learn's: macro averages run over the classes that occur among the labels or the predictions; an
undefined precision counts as 0; Brier is the mean squared error of the second class's probability for two classes, and the
sum over classes for more. Calibration error: 15 bins of equal width over the confidence in the predicted class (Guo et al.,
ICML 2017, arXiv:1706.04599).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tuneful.pipeline.metrics import labels
from tuneful.pipeline.metrics.table import Array, Floats

BINS = 15


class Cells(NamedTuple):
    """rows [k, 3P]: per distinct (label, prediction): is the label, is predicted, is both, for the P classes that occur;
    counts [k]: how many examples each stands for; extra [2, 3P]: one right and one wrong example, each shared out evenly among
    the cells where it could be. With several predictions, their blocks of 3P stand side by side."""

    rows: Floats
    counts: Array
    extra: Floats


def cells(y: Array, answers: list[Array]) -> Cells:
    """The cells of one or more answers for the same examples side by side, so that resampling keeps them paired."""
    if y.ndim == 2:
        return _labelled(y, answers)
    predictions, classes = [p.argmax(axis=1) for p in answers], answers[0].shape[1]
    key = y.astype(np.int64)
    for q in predictions:
        key = key * classes + q
    keys, counts = np.unique(key, return_counts=True)
    parts, rest = [], keys
    for _ in predictions:
        parts.append(rest % classes)
        rest = rest // classes
    blocks, extras = [], []
    for q in reversed(parts):
        occur = np.union1d(rest, q)
        label, guess = (rest[:, None] == occur).astype(float), (q[:, None] == occur).astype(float)
        blocks.append(np.hstack([label, guess, label * guess]))
        each = np.ones(len(occur)) / len(occur)
        extras.append(np.stack([np.hstack([each, each, each]), np.hstack([each, each, 0 * each])]))
    return Cells(np.hstack(blocks), counts, np.hstack(extras))


def _labelled(y: Array, answers: list[Array]) -> Cells:
    """Every example is a cell of its own; one more bears each label as often as it is met."""
    blocks = [labels.counts(p, y) for p in answers]
    each = (y == 1).mean(axis=0)
    extra = np.stack([np.hstack([each, each, each]), np.hstack([each, each, 0 * each])])
    return Cells(np.hstack(blocks), np.ones(len(y), dtype=np.int64), np.hstack([extra] * len(answers)))


def finish_counts(name: str, means: Floats) -> Floats:
    """means [..., 3P] to the metric [...]."""
    label, guess, both = np.split(means, 3, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if name == "f1_micro":
            return np.nan_to_num(2 * both.sum(axis=-1) / (label + guess).sum(axis=-1))
        if name == "balanced_accuracy" or name.startswith("recall"):
            each = both / label
        elif name.startswith("precision"):
            each = both / guess
        else:
            each = 2 * both / (label + guess)
        each = np.where(np.isfinite(each), each, 0.0)
        if name.endswith("weighted"):
            weight = label
        else:
            weight = (label > 0 if name == "balanced_accuracy" else label + guess > 0).astype(float)
        return (weight * each).sum(axis=-1) / weight.sum(axis=-1)


def rows(name: str, p: Array, y: Array) -> Floats:
    """Numbers [n, k] per example, whose means `finish` turns into the metric."""
    n = len(y)
    if name == "log_loss":
        return -np.log(np.clip(p[np.arange(n), y], np.finfo(p.dtype).eps, 1).astype(np.float64))[:, None]
    if name == "brier":
        if p.shape[1] == 2:
            return ((p[:, 1] - y) ** 2)[:, None].astype(np.float64)
        return ((p**2).sum(axis=1) - 2 * p[np.arange(n), y] + 1)[:, None].astype(np.float64)
    gap = np.zeros((n, BINS))  # calibration_error
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    gap[np.arange(n), bins(confidence)] = confidence - right
    return gap


def calibrated(p: Array) -> Floats:
    """The calibration errors [200] that noise alone would give these probabilities if they were right (normal in each bin)."""
    confidence = p.max(axis=1)
    variance = np.bincount(bins(confidence), confidence * (1 - confidence), minlength=BINS) / len(p) ** 2
    return np.abs(np.random.default_rng(0).normal(size=(200, BINS))) @ np.sqrt(np.maximum(variance, 0))


def bins(confidence: Array) -> Array:
    """The bin of each confidence in (0, 1]: 15 of equal width, closed above."""
    return np.clip(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence, side="left"), 0, BINS - 1)
