"""Metrics of labels, of which an example may bear several: p [N, L] a probability each, y [N, L] 1, 0 or -1 (not known).

A label is predicted where its probability is at least 0.5. What is not known counts neither as right nor as wrong. Macro
averages run over the labels that occur among the truths or the predictions.
"""

from __future__ import annotations

import numpy as np

from tuneful.pipeline.metrics.table import Array, Floats


def predicted(p: Array) -> Array:
    """Which labels are predicted, [N, L] bool."""
    return p >= 0.5


def right(p: Array, y: Array) -> Array:
    """Are all known labels of an example right? [N] bool."""
    return ((predicted(p) == (y == 1)) | (y < 0)).all(axis=1)


def rows(name: str, p: Array, y: Array) -> Floats:
    """Numbers [n, 1] per example, whose mean is the metric; each example weighs the same."""
    known = y >= 0
    if name == "log_loss":
        eps = np.finfo(p.dtype).eps
        each = -np.log(np.clip(np.where(y == 1, p, 1 - p), eps, 1).astype(np.float64))
    elif name == "brier":
        each = (p.astype(np.float64) - y) ** 2
    else:  # hamming_loss
        each = (predicted(p) != (y == 1)).astype(np.float64)
    return ((each * known).sum(axis=1) / np.maximum(1, known.sum(axis=1)))[:, None]


def counts(p: Array, y: Array) -> Floats:
    """[n, 3L] per example: bears the label, is predicted to, both."""
    known = y >= 0
    label, guess = (y == 1).astype(float), (predicted(p) & known).astype(float)
    return np.hstack([label, guess, label * guess])
