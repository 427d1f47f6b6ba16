"""Suspected label errors: examples whose class a model that has not seen them does not believe.

    p        out-of-fold probabilities [N, L] of a simple model (gradient-boosted trees, 5 stratified folds of train)
    t_j      the mean of p_j over the examples that bear class j: what is usual for a true j
    suspect  an example of class i where, of the classes with p_j >= t_j, the most probable is not i

They are listed, the least believed first, and never dropped: a rare example that is right looks the same. Some of the suspects
of a clean data set are ordinary hard examples, so the count is no estimate of errors.
Source: Northcutt, Jiang & Chuang, J. Artif. Intell. Res. 70, 2021, eqs. 1 to 3, arXiv:1911.00068.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.task import Finding, Task

FOLDS = 5
MOST = 20_000  # examples that are looked at
_WIDTH = 1024  # numbers of an example that the trees bear


@dataclass(frozen=True)
class Doubts:
    """at: numbers of the suspects in train, the least believed first; instead: the class that is believed in each one's place;
    belief: p of the class that it bears; of: how many examples were looked at; why_not: why none were, or ""."""

    at: NDArray[np.int64]
    instead: NDArray[np.int64]
    belief: NDArray[np.float64]
    of: int
    why_not: str = ""


def suspects(p: NDArray[np.float64], y: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(numbers of the suspected examples, the class believed instead), the least believed first.

    p: [N, L] out-of-fold probabilities; y: [N] the classes that the examples bear.
    """
    classes = p.shape[1]
    usual = np.array([p[y == j, j].mean() if (y == j).any() else np.inf for j in range(classes)])
    candidates = np.where(p >= usual, p, -1.0)
    believed = candidates.argmax(axis=1)
    doubted = (candidates.max(axis=1) >= 0) & (believed != y)
    at = np.flatnonzero(doubted)
    margin = p[at, y[at]] - p[at, believed[at]]  # how much less its own class is believed
    order = np.argsort(margin, kind="stable")
    return at[order], believed[at][order]


def doubts(task: Task, seconds: float, seed: int = 0) -> Doubts:
    """The suspects of train, within about `seconds`; none for tasks without single classes, or when it would take longer."""
    nothing = np.empty(0, dtype=np.int64)

    def none(why: str) -> Doubts:
        return Doubts(nothing, nothing, np.empty(0), 0, why)

    x, y = task.train.x, task.train.y
    if y.ndim != 1 or y.dtype.kind == "f":
        return none("the examples have no single class")
    if x[:1].size > _WIDTH:
        return none(f"an example has {x[:1].size} numbers, more than the {_WIDTH} that trees bear")
    if np.bincount(y, minlength=len(task.labels)).min() < FOLDS:
        return none(f"a class has fewer than {FOLDS} examples")
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold

    dice = np.random.default_rng(seed)
    rows = np.sort(dice.permutation(len(y))[:MOST])
    x, y = x[rows].reshape(len(rows), -1).astype(np.float32), y[rows]
    p = np.zeros((len(y), len(task.labels)))
    begin = time.perf_counter()
    for fold, (inside, outside) in enumerate(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y)):
        make: Any = HistGradientBoostingClassifier  # its stubs know early_stopping as text alone
        model = make(max_iter=50, early_stopping=False, random_state=seed).fit(x[inside], y[inside])
        p[np.ix_(outside, model.classes_)] = model.predict_proba(x[outside])
        spent = time.perf_counter() - begin
        if fold + 1 < FOLDS and spent / (fold + 1) * FOLDS > seconds:
            return none(f"it would take about {spent / (fold + 1) * FOLDS:.0f} s, more than {seconds:.0f}")
    at, instead = suspects(p, y)
    return Doubts(rows[at], instead, p[at, y[at]], len(rows))


def finding(task: Task, found: Doubts) -> Finding | None:
    """What is said of the suspects; None when there are none."""
    if not len(found.at):
        return None
    named = tuple(
        f"example {int(k)} of train is {task.labels[task.train.y[k]]}, {task.labels[j]} is believed"
        for k, j in zip(found.at[:5], found.instead[:5], strict=True)
    )
    text = "labels of train are suspected, by what a model says that has not seen them (none is changed or left out)"
    return Finding(
        "note", text, len(found.at), found.of, named, "look at these first; ordinary hard examples are among them"
    )
