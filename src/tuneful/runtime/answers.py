"""What each kind of task answers: the name of the network's output, how wide it is, and what is decided by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.runtime.openset import ABSTAIN, margins

PLACES = ("tagging", "entities", "language")  # an answer for each place of a sequence
TEXTS = ("sequence_to_sequence",)  # a text that is written token by token
PIXELS = ("segmentation",)  # an answer for each pixel of an image
OPEN = "openset"  # a class, or none of them
VALUES = ("regression", "multiregression", "forecasting")
THRESHOLD = 0.5  # from this probability on a label is predicted


def output(kind: str) -> str:
    """The name of the network's output."""
    return "value" if kind in VALUES else "probabilities_and_energy" if kind == OPEN else "probabilities"


def width(kind: str, labels: Sequence[str], target: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of one example's answer."""
    if kind == "regression":
        return ()
    if kind in PLACES:
        return (int(target.get("places", 0)), len(labels))
    if kind in PIXELS:
        return (*(int(side) for side in target.get("pixels", ())), len(labels))
    return ((len(labels) or len(target.get("columns", ()))) + (kind == OPEN),)


def ahead(answers: NDArray[Any], schema: Mapping[str, Any]) -> NDArray[Any]:
    """One forecast [1, horizon * M] as [horizon], or [horizon, M] of several targets."""
    wide = len(schema["targets"])
    return answers.reshape(-1, wide)[:, 0] if wide == 1 else answers.reshape(-1, wide)


def enlarged(p_HWL: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """The most probable class of each pixel at another size, probabilities blended between their pixels."""
    from PIL import Image

    if p_HWL.shape[:2] != (height, width):
        planes = [Image.fromarray(np.ascontiguousarray(p_HWL[..., k], dtype=np.float32)) for k in range(p_HWL.shape[2])]
        sized = [np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in planes]
        p_HWL = np.stack(sized, axis=-1)
    return p_HWL.argmax(axis=-1).astype(np.uint8 if p_HWL.shape[2] <= 256 else np.uint16)


def decided(kind: str, labels: Sequence[str], answers: NDArray[Any], rule: Mapping[str, Any] | None = None) -> NDArray[Any]:
    """What is predicted: class names [N], which labels there are [N, L] bool, of pixels class numbers [N, H, W], or the values as
    they are. rule: of an open set, when the answer is "abstain"."""
    if kind in VALUES:
        return answers
    if kind in PLACES:
        return np.array(labels)[answers.argmax(axis=-1)]
    if kind in PIXELS:
        return answers.argmax(axis=-1).astype(np.uint8 if len(labels) <= 256 else np.uint16)
    if kind == OPEN:
        best = np.array(labels, dtype=object)[answers[:, : len(labels)].argmax(axis=1)]
        return np.where(margins(rule or {}, answers) >= 0, best, ABSTAIN).astype(str)
    return answers >= THRESHOLD if kind == "multilabel" else np.array(labels)[answers.argmax(axis=1)]
