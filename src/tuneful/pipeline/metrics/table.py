"""What each metric is called, what it looks at, what is better, and where it can lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.config import nearest
from tuneful.core.errors import ModelError, Problem, RecipeError

Array = NDArray[Any]
Floats = NDArray[np.float64]
Shape = Literal["classes", "labels", "values", "columns", "places", "pixels", "texts"]
"""How answers p and targets y lie beside one another:

    classes   p [N, L] probabilities of which one is right, y [N] class numbers
    labels    p [N, L] a probability each, y [N, L] 1, 0 or -1 (not known)
    values    p [N], y [N]
    columns   p [N, M], y [N, M] of floats
    places    p [N, T, L] probabilities at each place, y [N, T] class numbers, -1 for none
    texts     p [N, 3 + L] facts and the letters that were written, y [N, U] uint32, those that were wanted (see `texts`)
    pixels    p [N, H, W, L] probabilities at each pixel, y [N, H, W] class numbers, -1 for none
"""


@dataclass(frozen=True)
class Metric:
    """direction: what is better; kinds: the tasks that it serves; needs: what it looks at; low, high: where it can lie."""

    direction: Literal["max", "min"]
    kinds: tuple[str, ...]
    needs: Literal["classes", "probabilities", "values", "places", "pixels", "texts"]
    what: str
    low: float = 0.0
    high: float = 1.0


_ONE, _MANY, _REAL, _REALS = (
    ("binary", "multiclass", "ordinal", "openset"),
    ("multilabel",),
    ("regression",),
    ("multiregression",),
)
_AHEAD, _WRITES = ("forecasting",), ("sequence_to_sequence",)
_DENSE = ("segmentation",)
_BOTH, _INF = (*_ONE, *_MANY), float("inf")

METRICS: dict[str, Metric] = {
    "accuracy": Metric("max", _ONE, "classes", "share of examples whose class is right"),
    "subset_accuracy": Metric("max", _MANY, "classes", "share of examples all of whose labels are right"),
    "hamming_loss": Metric("min", _MANY, "classes", "share of labels that are wrong"),
    "kappa_quadratic": Metric(
        "max", ("ordinal",), "classes", "agreement beyond chance, far misses weigh by their square", low=-1.0
    ),
    "rank_error": Metric("min", ("ordinal",), "classes", "mean number of levels by which the prediction is off", high=_INF),
    "balanced_accuracy": Metric("max", _ONE, "classes", "mean over the classes of the share found"),
    "f1_macro": Metric("max", _BOTH, "classes", "mean over the classes of F1"),
    "f1_micro": Metric("max", _MANY, "classes", "F1 of all labels of all examples together"),
    "f1_weighted": Metric("max", _BOTH, "classes", "mean of F1, classes weighted by their size"),
    "precision_macro": Metric("max", _BOTH, "classes", "mean over the classes of precision"),
    "precision_weighted": Metric("max", _ONE, "classes", "mean of precision, classes weighted by their size"),
    "recall_macro": Metric("max", _BOTH, "classes", "mean over the classes of recall"),
    "recall_weighted": Metric("max", _ONE, "classes", "mean of recall, classes weighted by their size"),
    "auroc": Metric("max", _BOTH, "probabilities", "chance that a member ranks above a non-member, mean over the classes"),
    "auroc_micro": Metric("max", _MANY, "probabilities", "the same over all labels of all examples together"),
    "log_loss": Metric("min", _BOTH, "probabilities", "mean of -log of what was given to the truth", high=_INF),
    "brier": Metric("min", _BOTH, "probabilities", "mean squared error of the probabilities", high=2.0),
    "calibration_error": Metric(
        "min", _ONE, "probabilities", "mean gap of confidence and accuracy over 15 equal-width bins"
    ),
    "mse": Metric("min", (*_REAL, *_AHEAD), "values", "mean squared error", high=_INF),
    "rmse": Metric("min", (*_REAL, *_AHEAD), "values", "root of the mean squared error, in the target's unit", high=_INF),
    "mae": Metric("min", (*_REAL, *_AHEAD), "values", "mean absolute error, in the target's unit", high=_INF),
    "r2": Metric("max", _REAL, "values", "share of the target's variance that is explained", low=-_INF),
    "r2_mean": Metric("max", _REALS, "values", "mean over the targets of R2", low=-_INF),
    "rmse_scaled": Metric(
        "min", (*_REALS, *_AHEAD), "values", "mean over the targets of RMSE over the target's standard deviation", high=_INF
    ),
    "rmse_mean": Metric("min", _REALS, "values", "mean over the targets of RMSE, each in its own unit", high=_INF),
    "mae_mean": Metric("min", _REALS, "values", "mean over the targets of the mean absolute error", high=_INF),
    "bleu": Metric("max", _WRITES, "texts", "n-grams of words that the written and the wanted texts share", high=100.0),
    "chrf": Metric("max", _WRITES, "texts", "F2 of runs of letters that the written and the wanted texts share", high=100.0),
    "token_accuracy": Metric(
        "max", ("tagging", "entities", "language", *_WRITES), "places", "share of places that are right"
    ),
    "token_log_loss": Metric(
        "min", ("tagging", "entities"), "places", "mean of -log of the true tag's probability", high=_INF
    ),
    "entity_f1": Metric("max", ("entities",), "places", "F1 of spans that are right in type, beginning and end"),
    "bits_per_token": Metric(
        "min", ("language", *_WRITES), "places", "mean of -log2 of the next token's probability", high=_INF
    ),
    "perplexity": Metric("min", ("language", *_WRITES), "places", "2 to the bits per token", low=1.0, high=_INF),
    "mean_iou": Metric("max", _DENSE, "pixels", "mean over the classes of pixels in both over pixels in either"),
    "dice": Metric("max", _DENSE, "pixels", "mean over the classes of F1 of pixels; of two classes, of the second"),
    "pixel_accuracy": Metric("max", _DENSE, "pixels", "share of pixels whose class is right"),
    "pixel_log_loss": Metric(
        "min", _DENSE, "pixels", "mean over the pixels of -log of the true class's probability", high=_INF
    ),
}

EXACT = ("accuracy", "subset_accuracy")  # shares of examples: Wilson's interval
AREAS = ("auroc", "auroc_micro")  # DeLong's variance
PLAIN = (
    "log_loss",
    "brier",
    "mse",
    "mae",
    "rmse",
    "hamming_loss",
    "mae_mean",
    "rank_error",
)  # a mean over examples, or its root
RANKED = ("rank_error", "kappa_quadratic")  # how far off a level is
COUNTED = frozenset(name for name, m in METRICS.items() if m.needs == "classes" and name not in (*EXACT, *PLAIN, *RANKED))
_KINDS: dict[Shape, tuple[str, ...]] = {"classes": _ONE, "labels": _MANY, "values": _REAL, "columns": (*_REALS, *_AHEAD),
                                      "places": ("tagging", "entities", "language"), "pixels": _DENSE, "texts": _WRITES}  # fmt: skip


def shape(p: Array, y: Array) -> Shape:
    """How these answers and targets lie beside one another."""
    if y.dtype == np.uint32:
        return "texts"
    if p.ndim == 4:
        return "pixels"
    if p.ndim == 3:
        return "places"
    if p.ndim == 1:
        return "values"
    if y.ndim == 1:
        return "classes"
    return "columns" if y.dtype.kind == "f" else "labels"


def lookup(name: str, p: Array, y: Array) -> Metric:
    """The metric; RecipeError for an unknown name, or one that does not serve answers and targets of these shapes."""
    if name not in METRICS:
        known = ", ".join(METRICS)
        problem = Problem("metric", f"metric is {name!r}; it must be one of {known}", nearest=nearest(name, METRICS))
        raise RecipeError([problem])
    metric = METRICS[name]
    kinds = _KINDS[shape(p, y)]
    if not set(kinds) & set(metric.kinds):
        got = {
            "classes": "probabilities [N, L]",
            "labels": "labels [N, L]",
            "values": "values [N]",
            "columns": "values [N, M]",
            "places": "probabilities at places [N, T, L]",
            "texts": "texts",
            "pixels": "probabilities at pixels [N, H, W, L]",
        }
        fit = ", ".join(k for k, m in METRICS.items() if set(kinds) & set(m.kinds))
        raise RecipeError(
            [Problem("metric", f"metric is {name!r}, which does not serve {got[shape(p, y)]}; it must be one of {fit}")]
        )
    return metric


def unfit(p: Array, y: Array) -> str:
    """Why these predictions have no metric, or ""; ModelError when the shapes do not fit one another."""
    texts = shape(p, y) == "texts"
    if len(p) != len(y) or y.ndim > 3 or (y.ndim > 1 and not texts and p.shape[: y.ndim] != y.shape):
        raise ModelError(f"there are predictions {p.shape} for targets {y.shape}; both must have one entry an example")
    if shape(p, y) == "classes" and len(y) and not 0 <= int(y.min()) <= int(y.max()) < p.shape[1]:
        raise ModelError(
            f"the classes go from {y.min()} to {y.max()}; with {p.shape[1]} outputs they must lie in [0, {p.shape[1]})"
        )
    if len(y) == 0:
        return "there are no examples"
    bad = int((~np.isfinite(p)).reshape(len(p), -1).any(axis=1).sum())
    return f"{bad} of {len(p)} predictions are not finite numbers" if bad else ""
