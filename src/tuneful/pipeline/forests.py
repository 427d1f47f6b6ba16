"""The opponents where several things are told of one example: shares or means, one linear model each, a random forest.

    shares of the labels, or means of the targets       no fitting
    one logistic regression a label, or ridge           on standardized inputs; labels that are not known count as absent
    random forest                                       all at once, 200 trees at most (Breiman, Machine Learning 45, 2001)

A forest stands where boosting stands for one target: boosted trees would have to be fitted once for each label.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np

from tuneful.core.task import Split
from tuneful.pipeline.metrics import Array, Floats

_TREES, _FEWEST_TREES = 200, 20


def shares(train: Split, x: Array) -> Floats:
    """The share of examples with each label (of those where it is known), or the mean of each target, for every row."""
    y = train.y.astype(np.float64)
    if train.y.dtype.kind != "f":
        y[train.y < 0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a label that is known nowhere: its share is 0
        return np.tile(np.nan_to_num(np.nanmean(y, axis=0)), (len(x), 1))


def one_each(flat: Array, y: Array, test: Array, end: float, notes: list[str]) -> Floats:
    """A logistic regression for each label, or a ridge for all targets. flat, test: standardized; end: of the time."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if y.dtype.kind == "f":
        return Ridge(solver="lsqr").fit(flat, y).predict(test).astype(np.float64)
    out = np.empty((len(test), y.shape[1]))
    unfit = 0
    for label in range(y.shape[1]):
        mine = y[:, label] == 1
        if mine.all() or not mine.any() or time.perf_counter() > end:
            unfit += bool(mine.any() and not mine.all())
            out[:, label] = mine.mean()
        else:
            out[:, label] = LogisticRegression(max_iter=200).fit(flat, mine).predict_proba(test)[:, 1]
    if unfit:
        notes.append(f"{unfit} of {y.shape[1]} labels got their share instead of a model, for want of time")
    return out


def forest(flat: Array, y: Array, test: Array, end: float, seed: int, notes: list[str]) -> Floats | None:
    """A random forest over all labels or targets, grown in parts until the time is over; None when it is too short."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    numbers = y.dtype.kind == "f"
    model: Any = (RandomForestRegressor if numbers else RandomForestClassifier)(
        n_estimators=5, warm_start=True, random_state=seed, n_jobs=1
    )
    goal, trees, each = y if numbers else np.maximum(y, 0), 5, 0.0
    while True:
        begin, before = time.perf_counter(), trees - 5 if trees > 5 else 0
        model.fit(flat, goal)
        each = max(each, (time.perf_counter() - begin) / max(1, trees - before))
        left = 0.8 * (end - time.perf_counter())
        if trees < _FEWEST_TREES and each * (_FEWEST_TREES - trees) > left:
            return None
        more = min(_TREES - trees, int(left / max(each, 1e-9)), 50)
        if more <= 0:
            break
        trees += more
        model.set_params(n_estimators=trees)
    if trees < _TREES:
        notes.append(f"{trees} of {_TREES} trees, for want of time")
    if numbers:
        return model.predict(test).astype(np.float64)
    each_label = [
        p[:, list(known).index(1)] if 1 in known else np.zeros(len(test))
        for p, known in zip(model.predict_proba(test), model.classes_, strict=True)
    ]
    return np.stack(each_label, axis=1)
