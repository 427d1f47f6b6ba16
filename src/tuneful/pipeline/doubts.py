"""Suspected label errors: examples whose class a model that has not seen them does not believe.

    p        out-of-fold probabilities [N, L] of a simple model (5 stratified folds of train; see `foldwise`)
    t_j      the mean of p_j over the examples that bear class j: what is usual for a true j
    suspect  an example of class i where, of the classes with p_j >= t_j, the most probable is not i

They are listed, the least believed first, and never dropped by themselves: a rare example that is right looks the same. Some of the suspects
of a clean data set are ordinary hard examples, so the count is no estimate of errors.
Source: Northcutt, Jiang & Chuang, J. Artif. Intell. Res. 70, 2021, eqs. 1 to 3, arXiv:1911.00068.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.task import Finding, Task
from tuneful.pipeline.foldwise import FOLDS, probabilities

MOST = 20_000  # examples that are looked at
SHOWN = 50  # of the suspects, in the evidence
FILE = "label_errors.csv"


@dataclass(frozen=True)
class Doubts:
    """at: numbers of the suspects in train, the least believed first; instead: the class that is believed in each one's place;
    belief: p of the class that it bears; confidence: p of the other; of: how many examples were looked at; model: by which;
    why_not: why none were, or ""."""

    at: NDArray[np.int64]
    instead: NDArray[np.int64]
    belief: NDArray[np.float64]
    confidence: NDArray[np.float64]
    of: int
    model: str = ""
    why_not: str = ""


def suspects(p: NDArray[np.float64], y: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(numbers of the suspected examples, the class believed instead), the least believed first.

    p: [N, L] out-of-fold probabilities; y: [N] the classes that the examples bear.
    """
    classes = p.shape[1]
    usual = np.array([p[y == j, j].mean() if (y == j).any() else np.inf for j in range(classes)])
    candidates = np.where(p >= usual, p, -1.0)
    believed = candidates.argmax(axis=1)
    doubted = (candidates.max(axis=1) >= 0) & (believed != y)
    at = np.flatnonzero(doubted)
    margin = p[at, y[at]] - p[at, believed[at]]  # how much less its own class is believed
    order = np.argsort(margin, kind="stable")
    return at[order], believed[at][order]


def doubts(task: Task, seconds: float, seed: int = 0) -> Doubts:
    """The suspects of train, within about `seconds`; none for tasks without single classes, or when it would take longer."""
    nothing, empty = np.empty(0, dtype=np.int64), np.empty(0)
    y = task.train.y
    why = ""
    if y.ndim != 1 or y.dtype.kind == "f":
        why = "the examples have no single class"
    elif np.bincount(y, minlength=len(task.labels)).min() < FOLDS:
        why = f"a class has fewer than {FOLDS} examples"
    elif seconds <= 0:
        why = "no time was left"
    if why:
        return Doubts(nothing, nothing, empty, empty, 0, "", why)
    rows = np.sort(np.random.default_rng(seed).permutation(len(y))[:MOST])
    if np.bincount(y[rows], minlength=len(task.labels)).min() < FOLDS:
        rows = np.arange(len(y))
    told = probabilities(task, rows, seconds, seed)
    if told.p is None:
        return Doubts(nothing, nothing, empty, empty, 0, "", told.why_not)
    at, instead = suspects(told.p, y[rows])
    return Doubts(rows[at], instead, told.p[at, y[rows][at]], told.p[at, instead], len(rows), told.model)


def listed(task: Task, found: Doubts) -> list[dict[str, Any]]:
    """Each suspect: which example it is, what it bears, what is believed instead, how much, and how much its own class is."""
    return [
        {
            "example": task.origin.name(int(at)) if task.origin else str(int(at) + 1),
            "given": task.labels[int(task.train.y[at])],
            "suggested": task.labels[int(instead)],
            "confidence": round(float(confidence), 4),
            "belief": round(float(belief), 4),
        }
        for at, instead, confidence, belief in zip(found.at, found.instead, found.confidence, found.belief, strict=True)
    ]


def as_csv(lines: list[dict[str, Any]]) -> str:
    """The list as a CSV file, which `clean=drop_labels=FILE` and `clean=relabel=FILE` read."""
    out = io.StringIO()
    fields: list[str] = ["example", "given", "suggested", "confidence", "belief"]
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def evidence(found: Doubts, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """What evidence.json says of the suspects."""
    if found.why_not:
        return {"why_not": found.why_not}
    told = {"count": len(lines), "looked_at": found.of, "model": found.model, "first": lines[:SHOWN]}
    return told | ({"file": FILE} if lines else {})


def finding(task: Task, found: Doubts) -> Finding | None:
    """What is said of the suspects; None when there are none."""
    if not len(found.at):
        return None
    named = tuple(
        f"{line['example']} is {line['given']}, {line['suggested']} is believed" for line in listed(task, found)[:5]
    )
    text = "labels of train are suspected, by what a model says that has not seen them (none is changed or left out)"
    hint = "look at these first, ordinary hard examples are among them; --labels FILE lists all, and clean=drop_labels=FILE acts on it"
    return Finding("note", text, len(found.at), found.of, named, hint)
