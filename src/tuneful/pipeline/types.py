"""Type by type, what a model finds that answers at each place: entities by their type, other tags one by one.

    precision  right / called;  recall  right / there;  F1  2 right / (called + there)

Of entities, spans are counted, which must be right in type, beginning and end (as seqeval and CoNLL count them); of other tags,
places. The confusion counts places in both cases, of entities by type whether they begin or continue one, so that it shows what
is taken for what where a span is off by a word. Intervals resample whole sentences, since places of one sentence are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.measure import Measure, percentiles, resampled_means, undefined
from tuneful.pipeline.metrics.places import bounds

Array = NDArray[Any]
Floats = NDArray[np.float64]
OUTSIDE = "O"


def names(kind: str, labels: Sequence[str]) -> list[str]:
    """What is told apart: the types of entities, or the tags.

    >>> names("entities", ["O", "B-loc", "I-loc"]), names("tagging", ["DET", "NOUN"])
    (['loc'], ['DET', 'NOUN'])
    """
    return [label[2:] for label in labels[1::2]] if kind == "entities" else list(labels)


def counts(kind: str, p: Array, y: Array, types: int) -> Floats:
    """[N, 3, types]: of each sentence and type what is right, called and there. p [N, T, L], y [N, T], -1 for no target."""
    there, guess, true = y >= 0, p.argmax(axis=-1), np.maximum(y, 0)
    if kind != "entities":
        called, is_ = guess, true
        right = there & (guess == true)
        marks = ((right, true), (there, called), (there, is_))
    else:
        guess, true = np.where(there, guess, 0), np.where(there, true, 0)
        (begin, end), (start, stop) = bounds(guess), bounds(true)
        called, is_ = (guess + 1) // 2 - 1, (true + 1) // 2 - 1
        marks = ((begin & start & (end == stop) & (called == is_), is_), (begin, called), (start, is_))
    found = np.zeros((len(y), 3, types))
    for k, (where, which) in enumerate(marks):
        rows, places = np.nonzero(where)
        np.add.at(found[:, k], (rows, which[rows, places]), 1)
    return found


def per_type(kind: str, p: Array, y: Array, labels: Sequence[str], seed: int = 0) -> dict[str, dict[str, Any]]:
    """{type: {"precision", "recall", "f1": measures, "n": how many are there, "called": how many are called so}}."""
    every = names(kind, labels)
    table = counts(kind, p, y, len(every))
    draws = resampled_means(table.reshape(len(table), -1), 500, seed).reshape(-1, 3, len(every))
    found: dict[str, dict[str, Any]] = {}
    for k, name in enumerate(every):
        right, called, there = table[:, :, k].sum(axis=0)
        exact, drawn = _shares(table[:, :, k].mean(axis=0)), _shares(draws[:, :, k])
        sizes = (called, there, called + there - right)
        told = {which: _measure(exact[..., i], drawn[:, i], int(sizes[i]), len(y))
                for i, which in enumerate(("precision", "recall", "f1"))}  # fmt: skip
        found[name] = told | {"n": int(there), "called": int(called)}
    return found


def _shares(means: Floats) -> Floats:
    """[..., 3] right, called, there -> precision, recall, F1; undefined ones are NaN."""
    right, called, there = means[..., 0], means[..., 1], means[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([right / called, right / there, 2 * right / (called + there)], axis=-1)


def _measure(value: Any, draws: Floats, n: int, sentences: int) -> Measure:
    exact, drawn = float(value), draws[np.isfinite(draws)]
    if not np.isfinite(exact):
        return undefined(n, "none is there or called so")
    if sentences < 2 or not len(drawn):
        return undefined(n, "one sentence has no interval", value=exact)
    low, high = percentiles(drawn, sentences)
    return Measure(exact, max(0.0, min(low, exact)), min(1.0, max(high, exact)), n, how="bootstrap 95 % over sentences")


def confusion(kind: str, p: Array, y: Array, labels: Sequence[str]) -> tuple[list[str], Array]:
    """(names of the rows and columns, how many places of a row's type were called a column's). Entities have a row for no type."""
    there = y >= 0
    true, guess = y[there], p.argmax(axis=-1)[there]
    every = names(kind, labels)
    if kind == "entities":
        true, guess, every = (true + 1) // 2, (guess + 1) // 2, [OUTSIDE, *every]
    size = len(every)
    return every, np.bincount(true * size + guess, minlength=size**2).reshape(size, size)


__all__ = ["confusion", "counts", "names", "per_type"]
