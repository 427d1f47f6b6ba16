"""Where a model errs: class by class, label by label, target by target; confusion, calibration, residuals."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuneful.core.measure import Measure, percentiles, resampled_means, wilson
from tuneful.core.task import Task
from tuneful.pipeline import types
from tuneful.pipeline.goals import goal
from tuneful.pipeline.judge import measures
from tuneful.pipeline.metrics import Array, bins, labels, pixels, shape, texts
from tuneful.runtime.letters import texts_of
from tuneful.runtime.text import Tokenizer
from tuneful.runtime.writing import FACTS, ended

_POINTS = 2000  # residuals that the evidence keeps
_WINDOWS = 6  # forecasts that it keeps
_WRITINGS = 10  # texts that were written


def details(task: Task, p: Array, y: Array, seed: int = 0) -> dict[str, Any]:
    """The parts of the evidence that stand below the measures, as plain data: those that the kind of the task has."""
    found: dict[str, Any] = {"per_class": {}, "per_target": {}, "confusion": [], "calibration": [], "residuals": {}}
    match shape(p, y):
        case "values":
            found["residuals"] = _residuals(p, y, seed)
        case "columns":
            names = [str(name) for name in task.target["columns"]]
            each = zip(names, per_target(p, y, seed, goal(task).block(task)), strict=True)
            found["per_target"] = {name: _data(its) for name, its in each}
        case "texts":
            pass
        case "pixels":
            found |= _of_pixels(task, p, y, seed)
        case "places":
            if task.kind != "language":
                each = types.per_type(task.kind, p, y, task.labels, seed)
                found["per_class"] = {label: {k: v.as_data() if isinstance(v, Measure) else v for k, v in its.items()}
                                      for label, its in each.items()}  # fmt: skip
                found["confusion_of"], matrix = types.confusion(task.kind, p, y, task.labels)
                found["confusion"] = matrix.tolist()
            found["calibration"] = calibration(p[y >= 0], y[y >= 0])
        case lie:
            there = np.bincount(y, minlength=task.outputs) if lie == "classes" else (y == 1).sum(axis=0)
            each = zip(task.labels, per_class(p, y), there, strict=True)
            found["per_class"] = {label: {**_data(its), "n": int(n)} for label, its, n in each}
            found["confusion"] = confusion(p, y).tolist() if lie == "classes" else []
            found["calibration"] = calibration(p, y)
    return found


def forecasts(task: Task, x: Array, p: Array, y: Array) -> list[dict[str, Any]]:
    """Some windows of a forecast, evenly spaced: the past, what came and what was forecast of the first target."""
    target, wide = list(task.schema["columns"]).index(task.schema["targets"][0]), len(task.schema["targets"])
    found: list[dict[str, Any]] = []
    for at in np.unique(np.linspace(0, len(y) - 1, _WINDOWS).round().astype(int)):
        past = x[at, target, -3 * y.shape[1] // wide :]
        told = {"past": past, "truth": y[at, ::wide], "forecast": p[at, ::wide]}
        found.append({"window": int(at), **{name: values.astype(float).tolist() for name, values in told.items()}})
    return found


def writings(task: Task, x: Array, p: Array, y: Array) -> dict[str, Any]:
    """Some pairs of a split, evenly spaced: the source, what was wanted and what was written; how BLEU was counted, and where
    sacrebleu is installed, whether it counts the same."""
    wanted, written = texts_of(y), texts_of(p[:, FACTS:])
    reads, size = Tokenizer(task.schema["tokenizer"]), int(task.schema["source"])
    shown = np.unique(np.linspace(0, len(y) - 1, _WRITINGS).round().astype(int))
    pairs = [
        {"source": reads.text(ended(x[at : at + 1, :size])[0]), "wanted": wanted[at], "written": written[at]} for at in shown
    ]
    return {
        "names": list(task.schema["names"]),
        "pairs": pairs,
        "signature": texts.signature(wanted),
        "checked": _checked(wanted, written),
    }


def _checked(wanted: list[str], written: list[str]) -> str:
    try:
        import sacrebleu  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        return ""
    theirs = float(sacrebleu.corpus_bleu(written, [wanted], tokenize=texts.parted_by(wanted)).score)
    return f"sacrebleu {sacrebleu.__version__} counts {theirs:.4g} for the same texts."


def confusion(p: Array, y: Array) -> Array:
    """How often class i (row) was called class j (column): [L, L] counts."""
    classes = p.shape[1]
    return np.bincount(y * classes + p.argmax(axis=1), minlength=classes**2).reshape(classes, classes)


def per_class(p: Array, y: Array) -> list[dict[str, Measure]]:
    """Precision, recall and F1 of each class or label, in their order.

    All three are shares of yes-no answers, so that Wilson's interval serves: F1 = 2 q / (1 + q) where q is the share of
    right ones among the examples that are of the class or are called so.
    """
    found: list[dict[str, Measure]] = []
    for called, there, right in _counted(p, y):
        overlap = wilson(right, called + there - right)
        value, low, high = (2 * q / (1 + q) for q in (overlap.value, overlap.low, overlap.high))
        f1 = Measure(value, low, high, overlap.n, how=overlap.how)
        found.append({"precision": wilson(right, called), "recall": wilson(right, there), "f1": f1})
    return found


def _counted(p: Array, y: Array) -> list[tuple[int, int, int]]:
    """For each class or label how many are called so, are so, and both."""
    if y.ndim == 2:
        there, called, both = np.split(labels.counts(p, y).sum(axis=0).astype(int), 3)
    else:
        matrix = confusion(p, y)
        called, there, both = matrix.sum(axis=0), matrix.sum(axis=1), matrix.diagonal()
    return [(int(a), int(b), int(c)) for a, b, c in zip(called, there, both, strict=True)]


def per_target(p: Array, y: Array, seed: int = 0, block: int = 1) -> list[dict[str, Measure]]:
    """RMSE, MAE and R2 of each of several targets, each in its own unit."""
    return [
        measures(("rmse", "mae", "r2"), p[:, m], y[:, m].astype(np.float64), seed, block=block) for m in range(y.shape[1])
    ]


def calibration(p: Array, y: Array) -> list[dict[str, float | int]]:
    """Per bin of confidence that has examples: mean confidence in the predicted class, share that was right, count."""
    if y.ndim == 2:  # each known label of each example is a question of its own
        p, y = np.stack([1 - p[y >= 0], p[y >= 0]], axis=1), y[y >= 0]
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    where = bins(confidence)
    found: list[dict[str, float | int]] = []
    for b in np.unique(where):
        inside = where == b
        means = {"confidence": float(confidence[inside].mean()), "accuracy": float(right[inside].mean())}
        found.append({**means, "n": int(inside.sum())})
    return found


def _residuals(p: Array, y: Array, seed: int) -> dict[str, list[float]]:
    kept = np.arange(len(y))
    if len(y) > _POINTS:
        kept = np.sort(np.random.default_rng(seed).choice(len(y), _POINTS, replace=False))
    return {"true": y[kept].astype(float).tolist(), "predicted": p[kept].tolist()}


def _of_pixels(task: Task, p: Array, y: Array, seed: int) -> dict[str, Any]:
    """Per class precision, recall and Dice (which is F1) of pixels, with intervals over images, and the confusion of pixels."""
    rows, n, L = pixels.rows("dice", p, y), len(y), p.shape[-1]
    draws = resampled_means(rows, 1000, seed)
    each: dict[str, Any] = {}
    for k, label in enumerate(task.labels):
        both, called, there = k, L + k, 2 * L + k
        shares = {"precision": (both, (called,)), "recall": (both, (there,)), "f1": (both, (called, there))}
        told: dict[str, Any] = {"n": int(rows[:, there].sum())}
        for name, (above, below) in shares.items():
            value, drawn = (
                pixels.ratio(m[..., above] * len(below), m[..., list(below)].sum(axis=-1))
                for m in (rows.mean(axis=0), draws)
            )
            low, high = percentiles(drawn[np.isfinite(drawn)], n) if np.isfinite(drawn).any() else (np.nan, np.nan)
            how = f"bootstrap 95 % over images, {len(draws)} resamples"
            told[name] = Measure(float(value), float(low), float(high), n, how=how).as_data()
        each[label] = told
    there, called = y >= 0, p.argmax(axis=-1)
    return {"per_class": each, "confusion": pixels.confusion(called[there], y[there].astype(np.int64), L).tolist()}


def _data(found: dict[str, Measure]) -> dict[str, Any]:
    return {name: measure.as_data() for name, measure in found.items()}
