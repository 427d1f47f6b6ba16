"""What a network that answers at each pixel must beat: the share of each class, Otsu's threshold, a logistic regression on colour.

    shares of train            the same probabilities at every pixel
    Otsu's threshold           of two classes: the brightness of each image cut where the variance between both sides is largest;
                               which side is the foreground, and how sure that is, is learned from train
    logistic regression        on the colours of a pixel and their means over 3x3, 9x9 and 27x27 pixels around it, fitted on at
                               most 50 000 pixels of train

Both learn from at most 2 000 images, evenly from the whole length of train.

Source: Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9, 1979, eq. 14.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.task import Task
from tuneful.pipeline.baselines import Baseline
from tuneful.pipeline.masks import counted
from tuneful.pipeline.metrics import Array

NAMES = ("shares of train", "Otsu's threshold", "logistic regression on colour")
_PIXELS = 50_000  # that the regression is fitted on
_IMAGES = 2_000  # of train that are looked at
_AROUND = (3, 9, 27)  # sides of the squares over which colours are averaged
_BINS = 256
_SURE = 1e-3  # no error is told to be rarer

Chances = NDArray[np.float32]


def opponents(task: Task, x: Array, seconds: float, seed: int = 0) -> list[Baseline]:
    """All that suit the number of classes, on images x [N, C, H, W] as the splits hold them; what there is no time for says so."""
    begin, found = time.perf_counter(), [_timed(NAMES[0], lambda: shares(task, x))]
    if task.outputs == 2:
        found.append(_timed(NAMES[1], lambda: otsu(task, x)))
    sizes = math.prod(x.shape) + 0.1 * len(_some(task)) * math.prod(task.train.x.shape[1:])
    needed = 2.0 + 1e-6 * sizes * len(_AROUND)  # measured on one core
    left = seconds - (time.perf_counter() - begin)
    if needed > left:
        why = f"skipped: it would need about {needed:.2g} s and {max(0.0, left):.2g} s are left"
        return [*found, Baseline(NAMES[2], None, 0.0, why)]
    return [*found, _timed(NAMES[2], lambda: regression(task, x, seed))]


def _timed(name: str, told: Callable[[], Any]) -> Baseline:
    begin = time.perf_counter()
    predictions = told()
    return Baseline(name, predictions, time.perf_counter() - begin)


def shares(task: Task, x: Array) -> Chances:
    """The shares of the classes among the pixels of train, everywhere."""
    counts = counted(task.train.y, task.outputs)
    return np.broadcast_to((counts / counts.sum()).astype(np.float32), (len(x), *x.shape[2:], task.outputs))


def otsu(task: Task, x: Array) -> Chances:
    """Probabilities from which side of its image's threshold a pixel lies on."""
    chosen = _some(task)
    bright, truth = np.stack([brighter(task.train.x[i]) for i in chosen]), task.train.y[chosen]
    known, y = truth >= 0, truth == 1
    errors = float((bright[known] != y[known]).mean())
    upside = errors <= 0.5
    wrong = min(max(min(errors, 1 - errors), _SURE), 0.49)
    foreground = np.stack([brighter(x[i]) for i in range(len(x))]) == upside
    p = np.where(foreground, 1 - wrong, wrong).astype(np.float32)
    return np.stack([1 - p, p], axis=-1)


def brighter(image: Array) -> NDArray[np.bool_]:
    """Which pixels of an image [C, H, W] are above the threshold of its mean over the channels."""
    grey = np.asarray(image, dtype=np.float64).mean(axis=0)
    return grey > threshold(grey)


def threshold(grey: Array) -> float:
    """Where w0 w1 (m0 - m1)^2 is largest: shares and means of the pixels below and above."""
    counts, edges = np.histogram(grey, bins=_BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    best = np.flatnonzero(between == np.nanmax(between)) if np.isfinite(between).any() else np.array([0])
    return float(edges[1:][best].mean())


def regression(task: Task, x: Array, seed: int) -> Chances:
    """A logistic regression of single pixels and what is around them."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    dice, chosen = np.random.default_rng(seed), _some(task)
    each = max(1, _PIXELS // len(chosen))
    rows: list[Array] = []
    classes: list[Array] = []
    for at in chosen:
        image, mask = task.train.x[at], task.train.y[at]
        known = np.flatnonzero(mask.ravel() >= 0)
        kept = dice.choice(known, min(each, len(known)), replace=False)
        rows.append(around(image)[kept])
        classes.append(mask.ravel()[kept])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    model.fit(np.concatenate(rows), np.concatenate(classes))
    height, width = x.shape[2:]
    out = np.zeros((len(x), height * width, task.outputs), np.float32)
    for number in range(len(x)):
        out[number][:, model.classes_.astype(int)] = model.predict_proba(around(x[number]))
    return out.reshape(len(x), height, width, task.outputs)


def _some(task: Task) -> NDArray[np.int64]:
    """Which images of train are looked at; images may lie in files."""
    n = len(task.train)
    return np.unique(np.linspace(0, n - 1, min(n, _IMAGES)).round().astype(np.int64))


def around(image: Array) -> Array:
    """[H * W, C * 4]: the colours of each pixel, and their means over the squares around it; beyond the border, the nearest pixel."""
    from scipy import ndimage

    mean: Any = ndimage.uniform_filter
    one = np.asarray(image, dtype=np.float32)
    maps = [one, *(mean(one, (1, side, side), mode="nearest") for side in _AROUND)]
    return np.concatenate(maps).reshape(-1, one.shape[1] * one.shape[2]).T
