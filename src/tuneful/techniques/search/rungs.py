"""Lengths at which trials are compared: what a trial was worth there, and who of them is the best. No scheduler, but what all need.

Every order in which trials stand is by value, then by number, so that it does not matter in which order they are given.
"""

from __future__ import annotations

import bisect
import itertools
import math
import operator
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
    return trial.epoch


def until(trial: Trial) -> float:
    """How far it is, or is on its way to."""
    return max(epoch_of(trial), float(trial.tags.get("until", 0.0)) if trial.state == "running" else 0.0)


def value_at(trial: Trial, rung: float) -> float | None:
    """The value at the first point at or beyond a rung; None before that. A failed trial has none."""
    return None if trial.state == "failed" else passed(trial, rung)


def passed(trial: Trial, rung: float) -> float | None:
    """The same, of failed trials too."""
    least = rung * (1 - 1e-6) - 1e-9
    if trial.last is None or trial.epoch < least:
        return None
    place = bisect.bisect_left(trial.curve, least, key=lambda point: point.epoch)
    return trial.curve[place].value.value


def rank(value: float, objective: Objective) -> float:
    """A value as a loss: less is better, and what is no number is worst."""
    if value != value:
        return math.inf
    return -value if objective.direction == "max" else value


Reached = list[tuple[Trial, float]]
_orders: dict[
    tuple[float, str], tuple[tuple[Trial, ...], Reached]
] = {}  # {rung, direction: trials, and those of them that have come there}
MANY = 32  # changed trials, from which on an order is made anew
REMEMBERED = 64  # orders


def ordered(trials: Iterable[Trial], rung: float, objective: Objective) -> Reached:
    """Those that have come to a rung, with their values there, the best first; with several objectives those that no other dominates.

    From one decision to the next few trials change; the last order at each rung is kept, and those are moved in it.
    """
    now = tuple(trials)
    if len(_orders) > REMEMBERED:
        _orders.clear()
    before, reached = _orders.get((rung, objective.direction), ((), []))
    changed = list(itertools.compress(itertools.count(), map(operator.is_not, before, now)))
    if len(now) < len(before) or len(changed) + len(now) - len(before) > MANY:
        found = ((trial, value) for trial in now if (value := value_at(trial, rung)) is not None)
        reached = sorted(found, key=lambda pair: (rank(pair[1], objective), pair[0].number))
    else:
        for k in changed:
            if (value := value_at(before[k], rung)) is not None:
                reached.pop(_place(reached, before[k], value, objective))
        for k in (*changed, *range(len(before), len(now))):
            if (value := value_at(now[k], rung)) is not None:
                reached.insert(_place(reached, now[k], value, objective), (now[k], value))
    _orders[rung, objective.direction] = now, reached
    if not objective.also or not reached:
        return list(reached)
    import numpy as np

    worth = np.array([[rank(value, objective), *costs_of(trial, objective.also)] for trial, value in reached])
    return [reached[k] for k in sorted_by_dominance(worth)]


def _place(reached: Reached, trial: Trial, value: float, objective: Objective) -> int:
    """Where a trial stands in an order, or is to stand."""
    return bisect.bisect_left(
        reached, (rank(value, objective), trial.number), key=lambda pair: (rank(pair[1], objective), pair[0].number)
    )


def over(trial: Trial, rung: float) -> bool:
    """Will nothing change at this rung any more: has it been there, or ended before?"""
    return trial.state in ("failed", "stopped") or value_at(trial, rung) is not None


def by_number(trials: Sequence[Trial]) -> list[Trial]:
    """In the order in which they began."""
    return sorted(trials, key=lambda trial: trial.number)
