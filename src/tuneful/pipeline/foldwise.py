"""Out-of-fold probabilities: what a simple model says of each example that it has not seen, within a time.

Texts are told by logistic regression on TF-IDF of tokens and pairs; everything else by gradient-boosted trees where the time lets
them, else by logistic regression. Images and series of more numbers than that bears are shrunk by means of neighbours.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.task import Task
from tuneful.pipeline.tfidf import analyzer, words_of

FOLDS = 5
TREES = 50
WIDEST = 1024  # numbers of an example that are looked at
_STEPS, _PENALTY = 100, 0.1  # of the logistic regression; less penalty learns the wrong labels too (LOG.md)
_COMMON = 30_000  # features of texts, the most frequent


@dataclass(frozen=True)
class Told:
    """p: [N, L] out-of-fold probabilities, None where there are none; model: what gave them; why_not: why there are none."""

    p: NDArray[np.float64] | None
    model: str = ""
    why_not: str = ""


def probabilities(task: Task, rows: NDArray[np.int64], seconds: float, seed: int = 0) -> Told:
    """What is said of these examples of train, each by a model that was fitted on four fifths without it."""
    y = task.train.y[rows]
    begin = time.perf_counter()
    if task.schema.get("kind") == "tokens":
        ways = [("a logistic regression on words", _words(task.train.x[rows], words_of(task)), _of_words)]
    else:
        x = _flat(task, rows)
        ways = [("gradient-boosted trees", x, _trees), ("a logistic regression", _standard(x), _linear)]
        ways = ways if seconds >= 3 else ways[1:]
    needed = 0.0
    for name, x, make in ways:
        left = seconds - (time.perf_counter() - begin)
        p, needed = _folds(x, y, len(task.labels), make, left, seed)
        if p is not None:
            return Told(p, name)
    return Told(None, "", f"it would take about {needed:.0f} s, more than the {max(0.0, seconds):.1f} s that are left")


def _folds(
    x: Any, y: NDArray[np.int64], classes: int, make: Callable[[int], Any], seconds: float, seed: int
) -> tuple[NDArray[np.float64] | None, float]:
    """(probabilities, None where the time does not suffice; how long all folds take)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import StratifiedKFold

    p = np.zeros((len(y), classes))
    begin, needed = time.perf_counter(), 0.0
    for fold, (inside, outside) in enumerate(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(y, y)):
        if fold == 0:  # a tenth of the fold says how long it takes
            few = inside[:: max(1, min(10, len(inside) // 200))]
            if len(few) < len(inside) and len(np.unique(y[few])) == len(np.unique(y)):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    make(seed).fit(x[few], y[few])
                rough = (time.perf_counter() - begin) * FOLDS
                if rough > seconds:
                    return None, rough
        with warnings.catch_warnings():  # not quite converged serves here as well
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = make(seed).fit(x[inside], y[inside])
        p[np.ix_(outside, model.classes_)] = model.predict_proba(x[outside])
        needed = (time.perf_counter() - begin) / (fold + 1) * FOLDS
        if fold + 1 < FOLDS and needed > seconds:
            return None, needed
    return p, needed


def _trees(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    make: Any = HistGradientBoostingClassifier  # its stubs know early_stopping as text alone
    return make(max_iter=TREES, early_stopping=False, random_state=seed)


def _linear(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=_PENALTY, max_iter=_STEPS, random_state=seed)


def _of_words(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=_STEPS, random_state=seed)


def _words(x: NDArray[Any], sets: int) -> Any:
    """TF-IDF of tokens; counts of documents know no classes, so they may be of all folds."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    least: Any = 2 if len(x) > 100 else 1
    return TfidfVectorizer(analyzer=analyzer(sets), sublinear_tf=True, min_df=least, max_features=_COMMON).fit_transform(x)


def _flat(task: Task, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """[N, D] with D at most 1024: neighbours of an image or a series become their mean until it is so."""
    x: Any = task.train.x[rows]
    out: list[NDArray[np.float32]] = []
    for start in range(0, len(x), 1024):
        piece = np.asarray(x[start : start + 1024], dtype=np.float32)
        while piece[0].size > WIDEST and piece.ndim > 2 and max(piece.shape[2:]) > 1:
            axis = 2 + int(np.argmax(piece.shape[2:]))
            even = piece.shape[axis] // 2 * 2
            piece = np.take(piece, range(even), axis)
            piece = piece.reshape(*piece.shape[:axis], even // 2, 2, *piece.shape[axis + 1 :]).mean(axis=axis + 1)
        out.append(piece.reshape(len(piece), -1))
    return np.concatenate(out)


def _standard(x: NDArray[np.float32]) -> NDArray[np.float32]:
    std = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(std > 0, std, 1)


__all__ = ["FOLDS", "Told", "probabilities"]
