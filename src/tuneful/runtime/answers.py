"""What each kind of task answers: the name of the network's output, how wide it is, and what is decided by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLACES = ("tagging", "entities", "language")  # an answer for each place of a sequence
TEXTS = ("sequence_to_sequence",)  # a text that is written token by token
VALUES = ("regression", "multiregression", "forecasting")
THRESHOLD = 0.5  # from this probability on a label is predicted


def output(kind: str) -> str:
    """The name of the network's output."""
    return "value" if kind in VALUES else "probabilities"


def width(kind: str, labels: Sequence[str], target: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of one example's answer."""
    if kind == "regression":
        return ()
    if kind in PLACES:
        return (int(target.get("places", 0)), len(labels))
    return (len(labels) or len(target.get("columns", ())),)


def ahead(answers: NDArray[Any], schema: Mapping[str, Any]) -> NDArray[Any]:
    """One forecast [1, horizon * M] as [horizon], or [horizon, M] of several targets."""
    wide = len(schema["targets"])
    return answers.reshape(-1, wide)[:, 0] if wide == 1 else answers.reshape(-1, wide)


def decided(kind: str, labels: Sequence[str], answers: NDArray[Any]) -> NDArray[Any]:
    """What is predicted: class names [N], which labels there are [N, L] bool, or the values as they are."""
    if kind in VALUES:
        return answers
    if kind in PLACES:
        return np.array(labels)[answers.argmax(axis=-1)]
    return answers >= THRESHOLD if kind == "multilabel" else np.array(labels)[answers.argmax(axis=1)]
