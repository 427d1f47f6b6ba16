"""The courses that all trials of a study took, as the model of learning curves reads them: kept from proposal to proposal.

    table = whole_curves(study)
    known = table.known(but=trial.number)      # places in the table of trials that have told something
    table.lows[k], table.last[k], table.places(dials)[k]

From one proposal to the next few trials change, so only those are read anew; the table is that of the study that was asked for last.
"""

from __future__ import annotations

import itertools
import math
import operator
from typing import TYPE_CHECKING

import numpy as np

from tuneful.techniques.search.dials import place
from tuneful.techniques.search.rated import lows, rated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial


class Courses:
    """trials: in the order of their numbers; lows: of each the best value up to each of its points, to be made small, () where it has told
    nothing; first, last, count: of those, NaN where
    there are none; failed. A finished one that told no curve has its value alone; one that failed before it told anything has
    an infinite one. sign: -1 where values are to be made large."""

    def __init__(self, sign: float) -> None:
        self.sign = sign
        self.trials: list[FrozenTrial] = []
        self.lows: list[Sequence[float]] = []
        self.first, self.last, self.count = np.zeros(0), np.zeros(0), np.zeros(0, int)
        self.failed, self.told = np.zeros(0, bool), np.zeros(0, bool)
        self._open: set[int] = set()  # places of those that are not finished: such a one may change and be the same object
        self._kinds: dict[tuple[str, ...], int] = {}  # {the dials that trials have: the first place of one that has these}
        self._places: NDArray[np.float64] = np.zeros((0, 0))
        self._of: dict[str, BaseDistribution] = {}
        self._stale: set[int] = set()  # whose places in `_places` are not known

    def learn(self, trials: list[FrozenTrial]) -> None:
        """Read those that have changed."""
        before, count = len(self.trials), len(trials)
        changed = set(itertools.compress(range(before), map(operator.is_not, trials, self.trials)))
        if count > len(self.last):
            more = max(count, 64)
            self.first, self.last = (np.append(one, np.full(more, math.nan)) for one in (self.first, self.last))
            self.count = np.append(self.count, np.zeros(more, int))
            self.failed, self.told = (np.append(one, np.zeros(more, bool)) for one in (self.failed, self.told))
        self.lows += [()] * (count - before)
        self.trials = trials
        for k in sorted(changed | self._open | set(range(before, count))):
            self._read(k, trials[k])

    def _read(self, k: int, trial: FrozenTrial) -> None:
        from optuna.trial import TrialState

        told = trial.intermediate_values
        curve = [self.sign * told[step] for step in sorted(told)]
        if not curve and trial.state == TrialState.COMPLETE:
            curve = [self.sign * float(trial.values[0])]
        lost = trial.state == TrialState.FAIL or (trial.state == TrialState.PRUNED and not curve)
        if lost and not curve and trial.distributions and "hidden" not in trial.user_attrs:
            curve = [math.inf]  # it failed at once, or broke a limit: that is learnt from, too
        self.put(k, curve, lost)
        if trial.state.is_finished():
            self._open.discard(k)
        else:
            self._open.add(k)

    def put(self, k: int, curve: Sequence[float], failed: bool) -> None:
        """Let the trial at this place have had these values."""
        self.told[k], self.failed[k], self.count[k] = bool(curve), failed, len(curve)
        if not curve:
            return
        self.lows[k] = found = lows(curve)
        self.first[k], self.last[k] = found[0], found[-1]
        self._stale.add(k)
        kind = tuple(self.trials[k].distributions)
        if k < self._kinds.get(kind, k + 1):
            self._kinds[kind] = k

    def known(self, but: int) -> NDArray[np.int64]:
        """The places of trials that have told something; but: the number of one that does not count."""
        found = np.flatnonzero(self.told[: len(self.trials)])
        return found if but >= len(self.trials) or not self.told[but] else found[found != but]

    @property
    def dials(self) -> dict[str, BaseDistribution]:
        """All dials that trials with values have had, in the order in which they were met."""
        found: dict[str, BaseDistribution] = {}
        for k in sorted(self._kinds.values()):
            if not self.trials[k].distributions.keys() <= found.keys():
                found |= self.trials[k].distributions
        return found

    def places(self, dials: Mapping[str, BaseDistribution]) -> NDArray[np.float64]:
        """[trials, dials]: where in [0, 1] each dial lies; in the middle, where a trial has none of that name."""
        if len(self._places) < len(self.last) or self._of != dials:
            self._places, self._of = np.zeros((len(self.last), len(dials))), dict(dials)
            self._stale = set(np.flatnonzero(self.told[: len(self.trials)]).tolist())
        for k in self._stale:
            has = self.trials[k].params
            self._places[k] = [place(dial, has[name]) if name in has else 0.5 for name, dial in dials.items()]
        self._stale.clear()
        return self._places


_kept: dict[str, Courses] = {}  # by "table", that of the study that was asked for last


def whole_curves(study: Study) -> Courses:
    """The courses of all trials of a study of one objective; of several, every trial has the rank that `rated` gives."""
    from optuna.study import StudyDirection

    trials = study.get_trials(deepcopy=False)
    if len(study.directions) > 1:
        table = Courses(1.0)
        table.learn(trials)
        at = {trial.number: k for k, trial in enumerate(trials)}
        table.told[:] = False
        for one in rated(study):
            table.put(at[one.trial.number], [one.loss], False)
        return table
    sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
    table = _kept.get("table")
    fits = table is not None and table.sign == sign and len(table.trials) <= len(trials)
    if table is None or not fits or (table.trials and not any(map(operator.is_, table.trials, trials))):
        table = _kept["table"] = Courses(sign)
    table.learn(trials)
    return table


__all__ = ["Courses", "whole_curves"]
