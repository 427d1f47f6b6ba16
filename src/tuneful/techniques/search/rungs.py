"""Lengths at which trials are compared: what a trial was worth there, and who of them is the best. No scheduler, but what all need.

Every order in which trials stand is by value, then by number, so that it does not matter in which order they are given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tuneful.core.task import Objective
from tuneful.core.tradeoff import costs_of, sorted_by_dominance
from tuneful.core.trial import Trial


def rungs(first: float, eta: int, epochs: float) -> tuple[float, ...]:
    """Lengths `eta` times apart, of which the last is the full one; none is shorter than `first`, a share of it."""
    start = first * epochs if first > 0 else epochs
    count = max(0, math.floor(math.log(epochs / start, eta) + 1e-9)) if start < epochs else 0
    return (*(epochs / eta**k for k in range(count, 0, -1)), epochs)


def beyond(epoch: float, rung: float) -> bool:
    """Is it at a rung, or further?"""
    return epoch >= rung * (1 - 1e-6) - 1e-9


def epoch_of(trial: Trial) -> float:
    """How far it is."""
    return trial.last.epoch if trial.last else 0.0


def until(trial: Trial) -> float:
    """How far it is, or is on its way to."""
    return max(epoch_of(trial), float(trial.tags.get("until", 0.0)) if trial.state == "running" else 0.0)


def value_at(trial: Trial, rung: float) -> float | None:
    """The value at the first point at or beyond a rung; None before that. A failed trial has none."""
    return None if trial.state == "failed" else passed(trial, rung)


def passed(trial: Trial, rung: float) -> float | None:
    """The same, of failed trials too."""
    least = rung * (1 - 1e-6) - 1e-9
    if not trial.curve or trial.curve[-1].epoch < least:
        return None
    return next(point.value.value for point in trial.curve if point.epoch >= least)


def rank(value: float, objective: Objective) -> float:
    """A value as a loss: less is better, and what is no number is worst."""
    if value != value:
        return math.inf
    return -value if objective.direction == "max" else value


def ordered(trials: Iterable[Trial], rung: float, objective: Objective) -> list[tuple[Trial, float]]:
    """Those that have come to a rung, with their values there, the best first; with several objectives those that no other dominates."""
    least, reached = rung * (1 - 1e-6) - 1e-9, list[tuple[Trial, float]]()
    for trial in trials:  # `value_at` in a loop that is gone through for each decision
        curve = trial.curve
        if curve and curve[-1].epoch >= least and trial.state != "failed":
            at = curve[0] if curve[0].epoch >= least else next(point for point in curve if point.epoch >= least)
            reached.append((trial, at.value.value))
    reached.sort(key=lambda pair: (rank(pair[1], objective), pair[0].number))
    if not objective.also or not reached:
        return reached
    import numpy as np

    worth = np.array([[rank(value, objective), *costs_of(trial, objective.also)] for trial, value in reached])
    return [reached[k] for k in sorted_by_dominance(worth)]


def over(trial: Trial, rung: float) -> bool:
    """Will nothing change at this rung any more: has it been there, or ended before?"""
    return trial.state in ("failed", "stopped") or value_at(trial, rung) is not None


def by_number(trials: Sequence[Trial]) -> list[Trial]:
    """In the order in which they began."""
    return sorted(trials, key=lambda trial: trial.number)
