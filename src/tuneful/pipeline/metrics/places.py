"""Metrics of sequences with an answer at each place: sums over the places of each sequence, so that resampling takes whole ones.

    token accuracy    right places / places                     bits per token   - sum log2 p(true) / places
    token log loss    - sum log p(true) / places                perplexity       2 ^ bits per token
    entity F1         2 right / (called + there), of spans that are right in type, beginning and end

Places within a sequence are not independent, which intervals over sequences respect. A span begins at B, or where a type follows
another or nothing (as in CoNLL's evaluation, Tjong Kim Sang & De Meulder 2003, and seqeval's default).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
_LEAST = 1e-12  # a probability of zero counts as this


def rows(name: str, p: Array, y: Array) -> Floats:
    """Numbers [N, k] per sequence. p [N, T, L] probabilities, y [N, T] class numbers, -1 where there is none."""
    there = y >= 0
    if name == "entity_f1":
        guess = np.where(there, p.argmax(axis=-1), 0)
        return spans(guess, np.where(there, y, 0))
    count = there.sum(axis=1).astype(np.float64)
    if name == "token_accuracy":
        return np.stack([((p.argmax(axis=-1) == y) & there).sum(axis=1), count], axis=1)
    true = np.take_along_axis(p, np.maximum(y, 0)[..., None], axis=-1)[..., 0]
    surprise = np.where(there, -np.log(np.maximum(true, _LEAST)), 0.0).sum(axis=1)
    return np.stack([surprise if name == "token_log_loss" else surprise / np.log(2), count], axis=1)


def finish(name: str, means: Floats) -> Floats:
    """Means of rows [..., k] to the metric [...]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if name == "entity_f1":
            both = means[..., 1] + means[..., 2]
            return np.where(both > 0, 2 * means[..., 0] / both, 0.0)
        ratio = means[..., 0] / means[..., 1]
    return np.exp2(ratio) if name == "perplexity" else ratio


def spans(guess: Array, true: Array) -> Floats:
    """[N, 3]: spans that are right, that are called, that are there. Tags [N, T]: 0 outside, 2k + 1 begins, 2k + 2 continues."""
    (begin, end), (begins, ends) = bounds(guess), bounds(true)
    right = begin & begins & (end == ends) & ((guess + 1) // 2 == (true + 1) // 2)
    return np.stack([right.sum(axis=1), begin.sum(axis=1), begins.sum(axis=1)], axis=1).astype(np.float64)


def bounds(tags: Array) -> tuple[Array, Array]:
    """Where spans begin [N, T], and for each place where a span that runs through it ends."""
    kind = (tags + 1) // 2
    before = np.concatenate([np.zeros_like(kind[:, :1]), kind[:, :-1]], axis=1)
    begin = (tags > 0) & ((tags % 2 == 1) | (before != kind))
    goes_on = (tags > 0) & ~begin
    end = np.full(tags.shape, tags.shape[1])
    for at in range(tags.shape[1] - 2, -1, -1):
        end[:, at] = np.where(goes_on[:, at + 1], end[:, at + 1], at + 1)
    return begin, end
