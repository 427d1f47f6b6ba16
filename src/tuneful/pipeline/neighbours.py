"""What a network that answers at each place must beat: shares of train, each word's own tag, each token after the one before it.

    the most frequent tag        p(tag)
    each word's most frequent    p(tag | word) = (n(word, tag) + p(tag)) / (n(word) + 1)
    unigrams                     p(next)
    bigrams                      p(next | this) = (n(this, next) + k p(next)) / (n(this) + k),  k = 10

Source: Dirichlet-smoothed bigrams: MacKay & Peto, Natural Language Engineering 1, 1995. The word's own tag is the usual floor.
"""

from __future__ import annotations

import numpy as np

from tuneful.core.task import Split
from tuneful.pipeline.metrics import Array, Floats

_STRENGTH = {"language": 10.0, "tagging": 1.0, "entities": 1.0}
NAMES = {"language": ("unigrams", "bigrams"), "tagging": ("the most frequent tag", "each word's most frequent tag"),
         "entities": ("the most frequent tag", "each word's most frequent tag")}  # fmt: skip


def shares(train: Split, x: Array, outputs: int) -> Floats:
    """The shares of train at each place, [N, T, L]."""
    return np.broadcast_to(_shares(train, outputs), (*x.shape, outputs)).copy()


def given(train: Split, x: Array, outputs: int, kind: str) -> Floats:
    """What followed on, or stood at, each token in train, [N, T, L]."""
    p, strength = _shares(train, outputs), _STRENGTH[kind]
    there = train.y >= 0
    size = int(max(train.x.max(), x.max())) + 1
    counts = np.zeros((size, outputs))
    np.add.at(counts, (train.x[there], train.y[there]), 1.0)
    table = (counts + strength * p) / (counts.sum(axis=1, keepdims=True) + strength)
    return table[x]


def _shares(train: Split, outputs: int) -> Floats:
    counts = np.bincount(train.y[train.y >= 0], minlength=outputs).astype(np.float64) + 1e-3
    return counts / counts.sum()
