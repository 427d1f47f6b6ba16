"""The models that a network must beat to be worth its cost: a constant, a linear model, gradient-boosted trees.

    majority class, or the mean of train                          no fitting
    logistic, or ridge regression (scikit-learn, defaults)        on standardized inputs
    gradient-boosted trees (HistGradientBoosting)                 100 rounds; the method is that of Ke et al., NeurIPS 2017
    of texts, logistic regression on TF-IDF instead of the latter two (see `tfidf`)

For labels and for several targets: see `forests`. All are fitted on train alone and predict the split that they are given. The time is a bound: a small fit is timed first,
then rows or iterations are cut to what fits, which `note` says, or the baseline is left out, which `failed` says. Images are
flattened; large ones are averaged over squares first.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuneful.core.task import Kind, Split
from tuneful.pipeline import forests, neighbours
from tuneful.pipeline.metrics import Array, Floats
from tuneful.pipeline.tfidf import tfidf

_ENTRIES = 40_000_000  # numbers of the training matrix in memory: 160 MB as float32
_LINEAR_WIDTH = 3072  # features that an image may have, colour channels counted
_TREE_WIDTH, _TREE_WIDTH_MANY = 1024, 400  # the same for trees; with many classes a round is as many trees
_ROUNDS, _FEWEST_ROUNDS = 100, 10  # of boosting: scikit-learn's default, and fewer than this is no fair opponent
_STEPS, _FEWEST_ROWS = 200, 200
_TREES = "gradient-boosted trees"
_CLASSES = ("majority class", "logistic regression", _TREES)
_NAMES: dict[str, tuple[str, str, str]] = {
    "binary": _CLASSES,
    "multiclass": _CLASSES,
    "ordinal": _CLASSES,
    "multilabel": ("shares of train", "a logistic regression for each label", "random forest"),
    "regression": ("mean of train", "ridge regression", _TREES),
    "multiregression": ("means of train", "ridge regression", "random forest"),
}


@dataclass(frozen=True)
class Baseline:
    """predictions: as `judge.predict` gives them, None when it failed; seconds: fitting and predicting; failed: why there
    are no predictions, "" when there are; note: what was cut short or did not converge, "" when nothing was."""

    name: str
    predictions: Floats | None
    seconds: float
    failed: str = ""
    note: str = ""


class _Skipped(Exception):  # noqa: N818 - it is no error
    """A baseline that does not fit into its time; the message is a clause that says why."""


@dataclass(frozen=True)
class _Fitted:
    predictions: Floats | None
    note: str = ""


def baselines(
    kind: Kind,
    outputs: int,
    train: Split,
    x: Array,
    seconds: float,
    seed: int = 0,
    threads: int | None = None,
    sets: int = 0,
) -> list[Baseline]:
    """Fit all on train and predict x, the cheapest first, within about `seconds` of wall-clock time.

    Args:
        outputs: how many classes there are; 1 for regression.
        x:       [N, *shape] the inputs of the split to predict, as train.x.
        threads: of BLAS and OpenMP while fitting; None leaves them as they are.
        sets:    of texts that are sets of n-grams, up to which number these are of words.

    Returns: one entry each. One that failed or was left out has predictions None.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    end = time.perf_counter() + seconds
    found: list[Baseline] = []
    with threadpool_limits(limits=threads):
        opponents = list(zip(_NAMES.get(kind, _CLASSES), (_constant, _linear, _trees), (1.0, 0.4, 0.9), strict=True))
        if kind in neighbours.NAMES:
            opponents = [(neighbours.NAMES[kind][0], _shares, 1.0), (neighbours.NAMES[kind][1], _given, 1.0)]
        elif train.x.dtype in (np.int32, np.int64):  # texts
            opponents = [opponents[0], (f"{opponents[1][0]} on TF-IDF", partial(_words, sets=sets), 0.9)]
        for name, fit, share in opponents:
            begin = time.perf_counter()
            allowed = share * (end - begin)
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                try:
                    fitted, failed = fit(kind, outputs, train, x, allowed, seed), ""
                except _Skipped as reason:
                    fitted, failed = _Fitted(None), f"skipped: {reason}"
                except (ValueError, MemoryError, FloatingPointError) as error:  # a foreign refusal: told, not hidden
                    reason = " ".join(str(error).split()) or type(error).__name__
                    fitted, failed = _Fitted(None), f"scikit-learn refused: {reason[:200]}"
            # What does not converge is in the note already, with its count of steps.
            more = {str(w.message).splitlines()[0] for w in heard if not issubclass(w.category, ConvergenceWarning)}
            note = "; ".join(part for part in (fitted.note, *sorted(more)) if part)
            found.append(Baseline(name, fitted.predictions, time.perf_counter() - begin, failed, note))
    return found


def _constant(kind: Kind, outputs: int, train: Split, x: Array, seconds: float, seed: int) -> _Fitted:
    if train.y.ndim == 2:
        return _Fitted(forests.shares(train, x))
    if kind == "regression":
        return _Fitted(np.full(len(x), train.y.astype(np.float64).mean()))
    shares = np.bincount(train.y, minlength=outputs) / len(train.y)
    return _Fitted(np.tile(shares, (len(x), 1)))


def _shares(kind: Kind, outputs: int, train: Split, x: Array, seconds: float, seed: int) -> _Fitted:
    return _Fitted(neighbours.shares(train, x, outputs))


def _given(kind: Kind, outputs: int, train: Split, x: Array, seconds: float, seed: int) -> _Fitted:
    return _Fitted(neighbours.given(train, x, outputs, kind))


def _words(kind: Kind, outputs: int, train: Split, x: Array, seconds: float, seed: int, sets: int = 0) -> _Fitted:
    p, classes, note = tfidf(kind, train, x, seconds, seed, sets)
    if p is None:
        raise _Skipped(note)
    return _Fitted(p if kind == "regression" else _spread_out(p, classes, outputs), note)


def _linear(kind: Kind, outputs: int, train: Split, x: Array, seconds: float, seed: int) -> _Fitted:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    end = time.perf_counter() + seconds
    data = _Data(train, x, _LINEAR_WIDTH, seed)
    scaler = StandardScaler()
    few = scaler.fit_transform(data.few)
    labels = train.y[data.order[: len(few)]]
    if train.y.ndim == 2:
        rows = data.affordable(0.0, 0.0, end - time.perf_counter(), _FEWEST_ROWS)
        flat, y = scaler.fit_transform(data.matrix(rows)), train.y[data.order[:rows]]
        test = np.asarray(scaler.transform(_flatten(x, _LINEAR_WIDTH)))
        return _Fitted(forests.one_each(flat, y, test, end, data.notes), "; ".join(data.notes))
    if kind == "regression":
        cost, _ = _timed(lambda: Ridge(solver="lsqr").fit(few, labels))
    else:
        cost, _ = _timed(lambda: LogisticRegression(max_iter=5).fit(few, labels))
        cost *= 10  # 50 steps should fit
    rows = data.affordable(0.0, cost / len(few), end - time.perf_counter(), _FEWEST_ROWS)
    flat, y = scaler.fit_transform(data.matrix(rows)), train.y[data.order[:rows]]
    test = scaler.transform(_flatten(x, _LINEAR_WIDTH))
    if kind == "regression":
        ridge = Ridge(solver="lsqr").fit(flat, y)
        return _Fitted(ridge.predict(test).astype(np.float64), "; ".join(data.notes))
    model = LogisticRegression(max_iter=20, warm_start=True)
    done, steps, longest = False, 0, 0.0
    while not done and steps < _STEPS and (steps == 0 or end - time.perf_counter() > longest):
        took, _ = _timed(lambda: model.fit(flat, y))  # 20 steps more, from where it stands
        done = int(np.max(model.n_iter_)) < int(model.max_iter)
        longest, steps = max(longest, took), steps + int(np.max(model.n_iter_))
    if not done:
        data.notes.append(f"stopped after {steps} steps, before it converged")
    return _Fitted(_spread_out(model.predict_proba(test), model.classes_, outputs), "; ".join(data.notes))


def _trees(kind: Kind, outputs: int, train: Split, x: Array, seconds: float, seed: int) -> _Fitted:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    end = time.perf_counter() + seconds
    make: Any = HistGradientBoostingRegressor if kind == "regression" else HistGradientBoostingClassifier
    width = _TREE_WIDTH if outputs <= 2 else _TREE_WIDTH_MANY
    data = _Data(train, x, width, seed)

    def left() -> float:
        return end - time.perf_counter()

    if train.y.ndim == 2:
        flat = data.matrix(data.affordable(0.0, 0.0, left(), _FEWEST_ROWS))
        found = forests.forest(flat, train.y[data.order[: len(flat)]], _flatten(x, width), end, seed, data.notes)
        if found is None:
            raise _Skipped(f"a forest would need more than the {max(0.0, seconds):.2g} s that it has")
        return _Fitted(found, "; ".join(data.notes))

    def grow(model: Any, flat: Array, rounds: int) -> float:
        """Seconds that it takes to bring the model to so many rounds."""
        model.set_params(max_iter=rounds)
        return _timed(lambda: model.fit(flat, train.y[data.order[: len(flat)]]))[0]

    def fresh() -> Any:
        return make(early_stopping=False, warm_start=True, random_state=seed)

    if left() < 0:
        raise _Skipped("no time is left")
    # A round costs a part for each row and a part for each tree; two small fits tell them apart.
    quarter = data.few[: max(1, len(data.few) // 4)]
    small = grow(fresh(), quarter, 2)
    if small * _FEWEST_ROUNDS > left():
        raise _Skipped(f"it would need more than {small * _FEWEST_ROUNDS:.2g} s and {max(0.0, left()):.2g} s are left")
    large = grow(fresh(), data.few, 2)
    each = max(large - small, 0.1 * large) / max(1, len(data.few) - len(quarter)) / 2
    base = max(0.0, large / 2 - each * len(data.few))
    rows = data.affordable(2 * _FEWEST_ROUNDS * base, 2 * _FEWEST_ROUNDS * each, left(), len(data.few))
    flat, model = data.matrix(rows), fresh()
    first = grow(model, flat, 3)
    if first / 3 * (_FEWEST_ROUNDS - 3) > left():
        raise _Skipped(
            f"3 rounds of boosting on {rows} rows took {first:.2g} s, and {_FEWEST_ROUNDS} are the fewest to be fair"
        )
    second = grow(model, flat, _FEWEST_ROUNDS)
    # Each call sorts the data into bins and then adds rounds: two calls tell these two costs apart. The rest comes in parts,
    # so that a machine that slows down costs one part too much and not all.
    each, rounds = max((second - first) / (_FEWEST_ROUNDS - 6), second / (2 * _FEWEST_ROUNDS)), _FEWEST_ROUNDS
    binning = max(0.0, first - 3 * each)
    while (more := min(25, _ROUNDS - rounds, int((0.8 * left() - binning) / each))) >= 5:
        took = grow(model, flat, rounds + more)
        rounds, each = rounds + more, max(each, (took - binning) / more)
    if rounds < _ROUNDS:
        data.notes.append(f"{rounds} of {_ROUNDS} rounds, for want of time")
    test = _flatten(x, width)
    if kind == "regression":
        return _Fitted(model.predict(test).astype(np.float64), "; ".join(data.notes))
    return _Fitted(_spread_out(model.predict_proba(test), model.classes_, outputs), "; ".join(data.notes))


class _Data:
    """Train as a matrix with its rows in random order, made only as far as the clock and the memory bear.

    few: a first part, whose making was timed; notes: what was cut, in words.
    """

    def __init__(self, train: Split, x: Array, width: int, seed: int) -> None:
        self.train, self.x, self.width = train, x, width
        self.order = np.random.default_rng(seed).permutation(len(train.y))
        size = int(np.prod(train.x.shape[1:]))
        took, self.few = _timed(lambda: _flatten(train.x[self.order[: min(1000, max(64, 10_000_000 // size))]], width))
        self.making = 2 * took / len(self.few)  # seconds a row, standardizing and all
        self.notes: list[str] = []
        if self.few.shape[1] < size:
            self.notes.append(f"images averaged over squares, {size} numbers to {self.few.shape[1]}")

    def matrix(self, rows: int) -> NDArray[np.float32]:
        return _flatten(self.train.x[self.order[:rows]], self.width)

    def affordable(self, fixed: float, each: float, left: float, fewest: int) -> int:
        """How many rows fit into `left` seconds at `each` a row and `fixed` for all; _Skipped when it is too few."""
        total, each, fixed = len(self.order), each + self.making, fixed + self.making * len(self.x)
        rows = int(max(0.0, left - fixed) / max(each, 1e-12))
        if rows < min(fewest, total):
            raise _Skipped(f"it would need about {fixed + each * total:.2g} s and {max(0.0, left):.2g} s are left")
        bearable = max(fewest, _ENTRIES // self.few.shape[1])
        if min(rows, bearable) < total:
            self.notes.append(
                f"fitted on {min(rows, bearable)} of {total} rows, for want of {'time' if rows < bearable else 'memory'}"
            )
        return min(rows, bearable, total)


def _flatten(x: Array, width: int) -> NDArray[np.float32]:
    """[N, D] float32; images [N, C, H, W] of more than `width` numbers are averaged over squares until they are no larger."""
    if x.ndim != 4 or x[0].size <= width:
        return np.ascontiguousarray(x[:].reshape(len(x), -1), dtype=np.float32)
    _, channels, height, wide = x.shape
    side = 2
    while side < min(height, wide) and channels * (height // side) * (wide // side) > width:
        side += 1
    found = np.empty((len(x), channels * (height // side) * (wide // side)), dtype=np.float32)
    for start in range(0, len(x), 256):  # by parts: the images may be large
        part = torch.from_numpy(x[start : start + 256].astype(np.float32))
        found[start : start + 256] = torch.nn.functional.avg_pool2d(part, side).flatten(1).numpy()
    return found


def _timed(fit: Any) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = fit()
    return time.perf_counter() - begin, result


def _spread_out(p: Array, classes: Any, outputs: int) -> Floats:
    """Probabilities with a column for each class, those too that train does not have."""
    full = np.zeros((len(p), outputs))
    full[:, np.asarray(classes, dtype=int)] = p
    return full
