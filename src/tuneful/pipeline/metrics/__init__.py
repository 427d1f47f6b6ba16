"""What each metric is: point values from predictions, and the parts from which `judge` makes intervals.

Nearly every metric here is a smooth function of means over examples: F1 of counts per class, R2 of sums of squares. So a
metric is given as `rows` (numbers per example) and `finish` (means of those rows to the metric); resampling the means
resamples the metric, for all resamples at once. AUROC is not such a function; it comes with its influence per example.
"""

from __future__ import annotations

import numpy as np

from tuneful.pipeline.metrics import classes, labels, levels, pixels, places, texts, values
from tuneful.pipeline.metrics.classes import BINS, Cells, bins, calibrated, cells
from tuneful.pipeline.metrics.ranks import auroc
from tuneful.pipeline.metrics.table import (
    AREAS,
    COUNTED,
    EXACT,
    METRICS,
    PLAIN,
    RANKED,
    Array,
    Floats,
    Metric,
    lookup,
    shape,
    unfit,
)
from tuneful.runtime.letters import texts_of


def rows(name: str, p: Array, y: Array) -> Floats:
    """Numbers [n, k] per example, whose means `finish` turns into the metric; for metrics that are not counted."""
    if name in RANKED:
        return levels.rows(name, p, y)
    lie = shape(p, y)
    if lie == "classes":
        return classes.rows(name, p, y)
    if lie == "texts":
        return texts.rows(name, p, y)
    if lie == "places":
        return places.rows(name, p, y)
    if lie == "pixels":
        return pixels.rows(name, p, y)
    return labels.rows(name, p, y) if lie == "labels" else values.rows(name, p, y)


def finish(name: str, means: Floats) -> Floats:
    """Means of rows [..., k] to the metric [...]; NaN where it is undefined (R2 of equal targets)."""
    if name in COUNTED:
        return classes.finish_counts(name, means)
    if METRICS[name].needs == "texts":
        return texts.finish(name, means)
    if METRICS[name].needs == "places":
        return places.finish(name, means)
    if METRICS[name].needs == "pixels":
        return pixels.finish(name, means)
    if name == "kappa_quadratic":
        return levels.kappa(means)
    if name == "calibration_error":
        return np.abs(means).sum(axis=-1)
    return values.finish(name, means) if METRICS[name].needs == "values" else means[..., 0]


def right(p: Array, y: Array) -> Array:
    """Is what is predicted of an example wholly right? [N] bool, for classes and labels."""
    return labels.right(p, y) if y.ndim == 2 else p.argmax(axis=1) == y


def told(name: str, p: Array, y: Array) -> str:
    """What a reader must know beside the number: classes that the split does not have; how BLEU was counted."""
    if name == "bleu":
        return f"; {texts.signature(texts_of(y))}"
    if shape(p, y) in ("values", "columns", "places", "pixels", "texts") or name in (
        *EXACT,
        *PLAIN,
        *RANKED,
        "calibration_error",
        "auroc_micro",
        "f1_micro",
    ):
        return ""
    if y.ndim == 2:
        absent = int(((y == 1).sum(axis=0) == 0).sum())
        return f"; {absent} of {p.shape[1]} labels are absent" if absent else ""
    absent = p.shape[1] - len(np.unique(y))
    return f"; {absent} of {p.shape[1]} classes are absent" if absent else ""


__all__ = [
    "AREAS",
    "BINS",
    "COUNTED",
    "EXACT",
    "METRICS",
    "PLAIN",
    "RANKED",
    "Array",
    "Cells",
    "Floats",
    "Metric",
    "auroc",
    "bins",
    "calibrated",
    "cells",
    "finish",
    "labels",
    "lookup",
    "pixels",
    "right",
    "rows",
    "shape",
    "texts",
    "told",
    "unfit",
]
