"""Metrics of images with a class at each pixel: counts of pixels of each image, so that resampling takes whole images.

    pixel accuracy    right / known                       pixel log loss    - sum log p(true) / known
    mean IoU          mean over the classes of  both / (called + there - both),  pixels of all images counted together
    Dice              mean over the classes of  2 both / (called + there);  of two classes that of the second, the foreground

A class that is neither called nor there has no part in the means. Pixels within an image are not independent, which intervals
over images respect.

Source: Everingham et al., IJCV 88, 2010 (intersection over union of pixels, as PASCAL VOC counts it); Dice, Ecology 26, 1945.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
_LEAST = 1e-12  # a probability of zero counts as this


def rows(name: str, p: Array, y: Array) -> Floats:
    """Numbers [N, k] per image. p [N, H, W, L] probabilities, y [N, H, W] class numbers, -1 where there is none."""
    found = [
        _row(name, each, true) for each, true in zip(p, y, strict=True)
    ]  # one by one: all at once would fill the memory
    return np.stack(found)


def _row(name: str, p: Array, y: Array) -> Floats:
    there = y >= 0
    known, classes = y[there].astype(np.int64), p.shape[-1]
    if name == "pixel_log_loss":
        true = np.take_along_axis(p[there], known[:, None], axis=-1).astype(np.float64)
        return np.array([-np.log(np.maximum(true, _LEAST)).sum(), len(known)])
    matrix = confusion(p.argmax(axis=-1)[there], known, classes)
    if name == "pixel_accuracy":
        return np.array([matrix.trace(), len(known)], dtype=np.float64)
    return np.concatenate([matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)]).astype(np.float64)


def confusion(called: Array, true: Array, classes: int) -> Array:
    """How many pixels of class i (row) were called class j (column): [L, L]."""
    return np.bincount(true * classes + called, minlength=classes**2).reshape(classes, classes)


def finish(name: str, means: Floats) -> Floats:
    """Means of rows [..., k] to the metric [...]."""
    if name in ("pixel_accuracy", "pixel_log_loss"):
        with np.errstate(divide="ignore", invalid="ignore"):
            return means[..., 0] / means[..., 1]
    each = overlap(means) if name == "mean_iou" else dice(means)
    if name == "dice" and each.shape[-1] == 2:
        return each[..., 1]
    present = np.isfinite(each)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(present, each, 0.0).sum(axis=-1) / present.sum(axis=-1)


def overlap(counts: Floats) -> Floats:
    """Intersection over union of each class [..., L] from pixels [..., 3 L]: both, called, there; NaN of an absent class."""
    both, called, there = np.split(counts, 3, axis=-1)
    return ratio(both, called + there - both)


def dice(counts: Floats) -> Floats:
    """Dice of each class, from the same."""
    both, called, there = np.split(counts, 3, axis=-1)
    return ratio(2 * both, called + there)


def ratio(above: Floats, below: Floats) -> Floats:
    """above / below, NaN where there is nothing below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)
