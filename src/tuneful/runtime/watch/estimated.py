"""Accuracy before labels come, from the confidence alone, by each way of estimating it.

The interval is of chance in both samples (bootstrap); it does not hold the error of the assumption, that confidence means what it
meant. Where inputs change so that the model is confidently wrong, no such estimate sees it: on elec2 they erred by 0.18 to 0.22 where
"unchanged" erred by 0.11, on digits under noise by 0.42 to 0.46 (benchmarks/drift.py, LOG.md). They are told beside one another, and labels
are the only proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuneful.core.measure import Measure
from tuneful.runtime import answers
from tuneful.runtime.watch.average_confidence import average_confidence
from tuneful.runtime.watch.difference_of_confidences import difference_of_confidences
from tuneful.runtime.watch.samples import Floats
from tuneful.runtime.watch.thresholded_confidence import thresholded_confidence

WAYS = {
    "thresholded_confidence": thresholded_confidence, "difference_of_confidences": difference_of_confidences, "average_confidence": average_confidence,
}  # fmt: skip
RESAMPLES = 300
CLASSES = ("binary", "multiclass", "ordinal")


def judged(kind: str, labels: Sequence[str], sample: Mapping[str, Any] | None) -> tuple[Floats, Floats] | None:
    """(confidence, 0 or 1 for right) of the validation sample in reference.json; None where a kind has no such thing."""
    if sample is None or kind not in (*CLASSES, answers.OPEN):
        return None
    known = [(told[: len(labels)], truth) for told, truth in zip(sample["told"], sample["truth"]) if truth is not None]
    if len(known) < 2:
        return None
    p_NL = np.array([told for told, _ in known], dtype=np.float64)
    truth = np.array([int(one) for _, one in known])
    return p_NL.max(axis=1), (p_NL.argmax(axis=1) == truth).astype(np.float64)


def estimated(before: Floats, right: Floats, now: Floats, seed: int = 0) -> dict[str, Measure]:
    """The accuracy now by each way, with its interval."""
    found: dict[str, Measure] = {}
    for name, way in WAYS.items():
        dice = np.random.default_rng(seed)
        drawn: list[float] = []
        for _ in range(RESAMPLES):
            a, b = dice.integers(len(before), size=len(before)), dice.integers(len(now), size=len(now))
            drawn.append(way(before[a], right[a], now[b]))
        low, high = (float(end) for end in np.quantile(drawn, (0.025, 0.975)))
        value = way(before, right, now)
        how = f"{name.replace('_', ' ')}, bootstrap 95 % of both samples; not of its assumption"
        found[name] = Measure(value, min(low, value), max(high, value), len(now), how=how)
    return found


__all__ = ["CLASSES", "WAYS", "estimated", "judged"]
