"""Soups of a pool: means of weights, built greedily on some rows of valid, each judged once however often it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.candidate import Candidate, Network
from tuneful.pipeline.joining.greedy import Floats
from tuneful.pipeline.joining.honest import Rows
from tuneful.pipeline.joining.pool import Member
from tuneful.pipeline.joining.scoring import by
from tuneful.pipeline.soup import mean

MOST = 8  # that are looked at, the best first
VAIN = 3  # that do harm, one after the other, before it is given up: they lie in other valleys


class Souping:
    """pool: as `gathered` gives it; load: the candidate of a member."""

    def __init__(self, task: Task, pool: Sequence[Member], load: Callable[[Member], Candidate]) -> None:
        self.task, self.pool, self.load = task, pool, load
        self._networks: dict[int, Candidate] = {}
        self._known: dict[tuple[int, ...], Floats] = {}

    def members(self, rows: Rows) -> tuple[int, ...]:
        """Places in the pool of those whose mean does best on these rows, the best single one first."""
        y = self.task.valid.y[rows]
        _, score = by(self.task, y)
        alone = [score(one.answers[rows]) for one in self.pool]
        order = sorted(range(len(self.pool)), key=lambda j: (tuple(-part for part in alone[j]), j))
        first = self._candidate(order[0])
        chosen, top, vain = (order[0],), alone[order[0]], 0
        for j in [one for one in order[1:] if self._fits(one, first)][: MOST - 1]:
            if (found := score(self._answers((*chosen, j))[rows])) >= top:
                chosen, top, vain = (*chosen, j), found, 0
            elif (vain := vain + 1) == VAIN:
                break
        return chosen

    def answers(self, rows: Rows) -> Floats:
        """Of that soup, to all of valid."""
        return self._answers(self.members(rows))

    def network(self, members: Sequence[int]) -> Network:
        """The soup of these."""
        return mean(self.task, [self._candidate(j) for j in members])

    def _answers(self, members: tuple[int, ...]) -> Floats:
        if len(members) == 1:
            return self.pool[members[0]].answers
        key = tuple(sorted(members))
        if key not in self._known:
            answers = judge.predict(self.network(key), self.task.valid.x, kind=self.task.kind)
            self._known[key] = np.nan_to_num(answers)
        return self._known[key]

    def _candidate(self, j: int) -> Candidate:
        if j not in self._networks:
            self._networks[j] = self.load(self.pool[j])
        return self._networks[j]

    def _fits(self, j: int, first: Candidate) -> bool:
        one = self._candidate(j)
        return _built(one) == _built(first)


def _built(one: Candidate) -> tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]:
    """What must be alike for a mean of weights to be one of networks."""
    model = json.dumps([one.recipe.as_data()["model"], list(one.network.views)], sort_keys=True, default=str)
    return model, tuple((name, tuple(value.shape)) for name, value in one.network.body.state_dict().items())


__all__ = ["Souping"]
