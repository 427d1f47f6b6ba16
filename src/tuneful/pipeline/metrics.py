"""What each metric is: point values from predictions, and the parts from which `judge` makes intervals.

Nearly every metric here is a smooth function of means over examples: F1 of counts per class, R2 of sums of squares. So a
metric is given as `rows` (numbers per example) and `finish` (means of those rows to the metric); resampling the means
resamples the metric, for all resamples at once. AUROC is not such a function; it comes with its influence per example.

Definitions follow scikit-learn's: macro averages run over the classes that occur among the labels or the predictions; an
undefined precision counts as 0; Brier is the mean squared error of the second class's probability for two classes, and the
sum over classes for more. Calibration error: 15 bins of equal width over the confidence in the predicted class (Guo et al.,
ICML 2017, arXiv:1706.04599). AUROC: DeLong et al., Biometrics 1988; for more than two classes the mean of each class against
the rest (Hand & Till 2001 discuss alternatives).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuneful.core.config import nearest
from tuneful.core.errors import ModelError, Problem, RecipeError

Array = NDArray[Any]
Floats = NDArray[np.float64]
BINS = 15


@dataclass(frozen=True)
class Metric:
    """direction: what is better; kinds: the tasks that it serves; needs: what it looks at; low, high: where it can lie."""

    direction: Literal["max", "min"]
    kinds: tuple[str, ...]
    needs: Literal["classes", "probabilities", "values"]
    what: str
    low: float = 0.0
    high: float = 1.0


_CLASSES, _REAL, _INF = ("binary", "multiclass"), ("regression",), float("inf")

METRICS: dict[str, Metric] = {
    "accuracy": Metric("max", _CLASSES, "classes", "share of examples whose class is right"),
    "balanced_accuracy": Metric("max", _CLASSES, "classes", "mean over the classes of the share found"),
    "f1_macro": Metric("max", _CLASSES, "classes", "mean over the classes of F1"),
    "f1_weighted": Metric("max", _CLASSES, "classes", "mean of F1, classes weighted by their size"),
    "precision_macro": Metric("max", _CLASSES, "classes", "mean over the classes of precision"),
    "precision_weighted": Metric("max", _CLASSES, "classes", "mean of precision, classes weighted by their size"),
    "recall_macro": Metric("max", _CLASSES, "classes", "mean over the classes of recall"),
    "recall_weighted": Metric("max", _CLASSES, "classes", "mean of recall, classes weighted by their size"),
    "auroc": Metric(
        "max", _CLASSES, "probabilities", "chance that a member ranks above a non-member, mean over the classes"
    ),
    "log_loss": Metric("min", _CLASSES, "probabilities", "mean of -log of the true class's probability", high=_INF),
    "brier": Metric("min", _CLASSES, "probabilities", "mean squared error of the probabilities", high=2.0),
    "calibration_error": Metric(
        "min", _CLASSES, "probabilities", "mean gap of confidence and accuracy over 15 equal-width bins"
    ),
    "mse": Metric("min", _REAL, "values", "mean squared error", high=_INF),
    "rmse": Metric("min", _REAL, "values", "root of the mean squared error, in the target's unit", high=_INF),
    "mae": Metric("min", _REAL, "values", "mean absolute error, in the target's unit", high=_INF),
    "r2": Metric("max", _REAL, "values", "share of the target's variance that is explained", low=-_INF),
}

PLAIN = ("log_loss", "brier", "mse", "mae", "rmse")  # a mean over examples, or its root
COUNTED = frozenset(name for name, m in METRICS.items() if m.needs == "classes" and name != "accuracy")


def lookup(name: str, p: Array) -> Metric:
    """The metric; RecipeError for an unknown name, or one that does not serve predictions of this shape."""
    if name not in METRICS:
        known = ", ".join(METRICS)
        problem = Problem("metric", f"metric is {name!r}; it must be one of {known}", nearest=nearest(name, METRICS))
        raise RecipeError([problem])
    metric = METRICS[name]
    if (metric.needs == "values") != (p.ndim == 1):
        got = "values [N]" if p.ndim == 1 else "probabilities [N, L]"
        fit = ", ".join(k for k, m in METRICS.items() if (m.needs == "values") == (p.ndim == 1))
        raise RecipeError([Problem("metric", f"metric is {name!r}, which does not serve {got}; it must be one of {fit}")])
    return metric


def unfit(p: Array, y: Array) -> str:
    """Why these predictions have no metric, or ""; ModelError when the shapes do not fit one another."""
    if len(p) != len(y) or y.ndim != 1:
        raise ModelError(f"there are predictions {p.shape} for targets {y.shape}; both must have one entry an example")
    if p.ndim == 2 and len(y) and not 0 <= int(y.min()) <= int(y.max()) < p.shape[1]:
        raise ModelError(
            f"the classes go from {y.min()} to {y.max()}; with {p.shape[1]} outputs they must lie in [0, {p.shape[1]})"
        )
    if len(y) == 0:
        return "there are no examples"
    bad = int((~np.isfinite(p)).reshape(len(p), -1).any(axis=1).sum())
    return f"{bad} of {len(p)} predictions are not finite numbers" if bad else ""


def told(name: str, p: Array, y: Array) -> str:
    """What a reader must know beside the number: classes that the split does not have."""
    if p.ndim == 1 or name in ("accuracy", "log_loss", "brier", "calibration_error"):
        return ""
    absent = p.shape[1] - len(np.unique(y))
    return f"; {absent} of {p.shape[1]} classes are absent" if absent else ""


# --- metrics of counts: rows per cell of the confusion matrix -------------------------------------------------------------


class Cells(NamedTuple):
    """rows [k, 3P]: per distinct (label, prediction): is the label, is predicted, is both, for the P classes that occur;
    counts [k]: how many examples each stands for; extra [2, 3P]: one right and one wrong example, each shared out evenly among
    the cells where it could be."""

    rows: Floats
    counts: Array
    extra: Floats


def cells(y: Array, predictions: list[Array], classes: int) -> Cells:
    """The cells of one or more predictions of the same examples side by side, so that resampling keeps them paired."""
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


def _finish_counts(name: str, means: Floats) -> Floats:
    """means [..., 3P] to the metric [...]."""
    label, guess, both = np.split(means, 3, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
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


# --- metrics of examples: rows per example --------------------------------------------------------------------------------


def rows(name: str, p: Array, y: Array) -> Floats:
    """Numbers [n, k] per example, whose means `finish` turns into the metric."""
    n = len(y)
    if p.ndim == 1:
        p, y = p.astype(np.float64), y.astype(np.float64)
        if name == "mae":
            return np.abs(p - y)[:, None]
        if name != "r2":
            return ((p - y) ** 2)[:, None]
        centred = y - y.mean()
        return np.stack([(p - y) ** 2, centred**2, centred], axis=1)
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


def finish(name: str, means: Floats) -> Floats:
    """Means of rows [..., k] to the metric [...]; NaN where it is undefined (R2 of equal targets)."""
    if name in COUNTED:
        return _finish_counts(name, means)
    if name == "calibration_error":
        return np.abs(means).sum(axis=-1)
    if name == "rmse":
        return np.sqrt(np.maximum(means[..., 0], 0))
    if name == "r2":
        variance = means[..., 1] - means[..., 2] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(variance > 0, 1 - means[..., 0] / variance, np.nan)
    return means[..., 0]


def calibrated(p: Array) -> Floats:
    """The calibration errors [200] that noise alone would give these probabilities if they were right (normal in each bin)."""
    confidence = p.max(axis=1)
    variance = np.bincount(bins(confidence), confidence * (1 - confidence), minlength=BINS) / len(p) ** 2
    return np.abs(np.random.default_rng(0).normal(size=(200, BINS))) @ np.sqrt(np.maximum(variance, 0))


def bins(confidence: Array) -> Array:
    """The bin of each confidence in (0, 1]: 15 of equal width, closed above."""
    return np.clip(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence, side="left"), 0, BINS - 1)


# --- AUROC ----------------------------------------------------------------------------------------------------------------


class Ranked(NamedTuple):
    """value: the area; influence [n]: each example's share in its error, the variance is their sum of squares;
    least, most: bounds on how many independent yes-no answers it is worth, which keep an interval near 0 and 1 honest."""

    value: float
    influence: Floats
    least: float
    most: float


def auroc(p: Array, y: Array) -> Ranked:
    """Second class's probability against the labels, or the mean over classes of each against the rest.

    Classes without members or without non-members are left out; NaN when none is left. Cost: two sorts a class.
    """
    n, classes = len(y), p.shape[1]
    members = np.bincount(y, minlength=classes)
    usable = [c for c in ([1] if classes == 2 else range(classes)) if 0 < members[c] < n]
    if not usable:
        return Ranked(float("nan"), np.zeros(n), 1, 1)
    influence, total = np.zeros(n), 0.0
    for c in usable:
        mine = y == c
        above, below = _placements(p[mine, c], p[~mine, c])
        value = float(above.mean())
        total += value
        influence[mine] += (above - value) * _factor(len(above))
        influence[~mine] += (below - value) * _factor(len(below))
    few = np.minimum(members, n - members)[usable]
    # The variance of one area is at most A (1 - A) / min(m, n) (Birnbaum & Klose 1957) and rarely below a third of that.
    return Ranked(total / len(usable), influence / len(usable), float(few.min()), float(3 * few.sum()))


def _placements(inside: Array, outside: Array) -> tuple[Floats, Floats]:
    """For each member the share of non-members below it; for each non-member the share of members above; ties count half."""
    a, b = np.sort(inside), np.sort(outside)
    above = (np.searchsorted(b, inside, "left") + np.searchsorted(b, inside, "right")) / (2 * len(b))
    below = 1 - (np.searchsorted(a, outside, "left") + np.searchsorted(a, outside, "right")) / (2 * len(a))
    return above, below


def _factor(m: int) -> float:
    return float(1 / np.sqrt(m * max(1, m - 1)))
