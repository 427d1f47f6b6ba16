"""Champion against challenger: the artifact that training began from and what came of it, on the same new test examples.

Each example is judged once for both, so the difference is that of a paired test: exact McNemar where an answer is right or wrong, else a
bootstrap over examples. A tie leaves the champion where it is: whoever replaces a model in service must have a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.measure import paired_difference
from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.candidate import Candidate
from tuneful.runtime import answers
from tuneful.runtime.load import load

Floats = NDArray[np.float64]


def beside_champion(task: Task, candidate: Candidate, path: str | None, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """What is added to the evidence: the comparison, and its sentence before all other notes; nothing without a champion."""
    if path is None:
        return {}
    told = challenge(task, candidate, path)
    return {"champion": told, "notes": [told["sentence"], *evidence.get("notes", [])]}


def challenge(task: Task, candidate: Candidate, path: str) -> dict[str, Any]:
    """What is said of both, as plain data with a sentence. Opens the test split, which is counted.

    task: as `alike` gives it, so that the champion sees what it was made for.
    """
    champion = load(Path(path), threads=max(1, int(candidate.recipe.threads)))
    split = task.test.open(f"to compare with the champion {path}")
    ours = np.asarray(judge.predict(candidate.network, split.x, kind=task.kind), dtype=np.float64)
    theirs = np.asarray(champion.told(np.asarray(split.x)), dtype=np.float64)
    a, b = (each(task, told, split.y) for told in (ours, theirs))
    found = paired_difference(a, b)
    metric = "mean squared error" if task.kind in answers.VALUES else "share of right answers"
    sign = -1.0 if task.kind in answers.VALUES else 1.0
    low, high = found.difference.low, found.difference.high
    verdict = "challenger" if low > 0 else "champion" if high < 0 else "tie"
    told = {
        "challenger": "the challenger is better and may take its place",
        "champion": "the champion is better and stays",
        "tie": "they cannot be told apart, and the champion stays",
    }[verdict]
    values = f"{sign * float(a.mean()):.4g} for the challenger, {sign * float(b.mean()):.4g} for the champion"
    return {
        "champion": path, "verdict": verdict, "metric": metric, "challenger_value": sign * float(a.mean()), "champion_value": sign * float(b.mean()),
        "difference": found.difference.as_data(), "p": found.p, "test": found.test, "n": len(split),
        "sentence": f"Against the champion on {len(split)} new test examples {told}: {metric} {values} (p = {found.p:.2g}, {found.test}).",
    }  # fmt: skip


def each(task: Task, told: Floats, y: NDArray[Any]) -> Floats:
    """How good each answer is [N]; more is better."""
    if task.kind in answers.VALUES:
        return -((told.reshape(len(y), -1) - y.reshape(len(y), -1)) ** 2).mean(axis=1)
    if task.kind == "multilabel":
        known = y >= 0
        right = ((told >= answers.THRESHOLD) == (y > 0)) & known
        return right.sum(axis=1) / np.maximum(1, known.sum(axis=1))
    right = told[..., : len(task.labels)].argmax(axis=-1) == y
    if right.ndim == 1:
        return right.astype(np.float64)
    known = (y >= 0).reshape(len(y), -1)
    return (right.reshape(len(y), -1) & known).sum(axis=1) / np.maximum(1, known.sum(axis=1))


__all__ = ["beside_champion", "challenge", "each"]
