"""All trials of a study as they stand: in order, who is at work, who is best. Kept up to date trial by trial, since each decision asks.

board.put(trial)        # it has begun, or changed
board.trials(); board.best(); board.running
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence

from tuneful.core.task import Objective
from tuneful.core.trial import Trial


class Board:
    """objective: by which trials are compared. ids: {id of a recipe: its trial}; decided: the number of the newest decision that is known."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.ids: dict[str, int] = {}
        self.decided = 0
        self.running: dict[int, Trial] = {}
        self.rated = 0  # how many have told anything
        self._trials: dict[int, Trial] = {}
        self._at: dict[int, int] = {}  # {trial: where it stands in the order}
        self._order: list[Trial] = []
        self._told: tuple[Trial, ...] | None = None
        self._best: Trial | None = None
        self._sure = True  # is it known who is best?

    def put(self, trial: Trial) -> None:
        """It has begun, or is not as it was."""
        number = trial.number
        self.rated += bool(trial.curve) - bool(number in self._trials and self._trials[number].curve)
        self._trials[number] = trial
        self.ids[trial.tags["id"]] = number
        if legs := trial.tags.get("legs"):
            self.decided = max(self.decided, int(legs[-1][0]))
        self._told = None
        if (place := self._at.get(number)) is not None:
            self._order[place] = trial
        elif self._order and number < self._order[-1].number:  # another process has begun it meanwhile
            self._order = [self._trials[one] for one in sorted(self._trials)]
            self._at = {one.number: place for place, one in enumerate(self._order)}
        else:
            self._at[number] = len(self._order)
            self._order.append(trial)
        if trial.state == "running":
            self.running[number] = trial
        else:
            self.running.pop(number, None)
        best = self._best
        if best is None or self._merit(trial) >= self._merit(best):
            self._best = trial if self._rated(trial) else best
        elif best.number == number:
            self._sure = False

    def __len__(self) -> int:
        return len(self._trials)

    def __getitem__(self, number: int) -> Trial:
        return self._trials[number]

    def get(self, number: int) -> Trial | None:
        """A trial, if there is one of this number."""
        return self._trials.get(number)

    def trials(self) -> tuple[Trial, ...]:
        """All of them in the order in which they began."""
        if self._told is None:
            self._told = tuple(self._order)
        return self._told

    def best(self) -> Trial | None:
        """The one with the best last value among those that have one and have not failed."""
        if not self._sure:
            self._best, self._sure = max(filter(self._rated, self._order), key=self._merit, default=None), True
        return self._best

    def _rated(self, trial: Trial) -> bool:
        return trial.last is not None and trial.state != "failed" and math.isfinite(trial.last.value.value)

    def _merit(self, trial: Trial) -> tuple[float, int]:
        if trial.last is None or not self._rated(trial):
            return -math.inf, -trial.number
        value = trial.last.value.value
        return (value if self.objective.direction == "max" else -value), -trial.number


def changed(before: Sequence[Trial], now: Sequence[Trial]) -> list[Trial]:
    """Of these trials those that are not what stood in their place before, and those behind."""
    return [*itertools.compress(now, map(operator.is_not, now, before)), *now[len(before) :]]


__all__ = ["Board", "changed"]
