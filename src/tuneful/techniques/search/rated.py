"""Values that can be compared, of trials that came to different lengths.

Samplers that know one value a trial must not compare one at 2 epochs with one at 50. Here all trials are judged at one length: the
longest that enough of them have reached. One that is shorter, or has failed, is not judged. With several objectives a finished trial
is worth as much as the number of those that are better in all of them says.

Source: Falkner, Klein & Hutter, ICML 2018 (BOHB), arXiv:1807.01774, which takes the largest budget with enough observations; the rank of
several objectives: Fonseca & Fleming, ICGA 1993.
"""

from __future__ import annotations

import copy
import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tuneful.core.storage import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial, TrialState

ENOUGH = 8  # trials that have come to a length, for it to be the one at which all are judged


class Rated(NamedTuple):
    """A trial with what it is worth; less is better."""

    trial: FrozenTrial
    loss: float


def rated(study: Study, enough: int = ENOUGH) -> list[Rated]:
    """All trials of a study that can be compared, in the order of their numbers."""
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    if len(study.directions) > 1:
        whole = [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
        return [Rated(one, float(many)) for one, many in zip(whole, dominating(whole, study.directions), strict=True)]
    sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
    return [Rated(one, sign * worth) for one, worth in _judged(study.get_trials(deepcopy=False), enough) if worth == worth]


def lows(curve: Sequence[float]) -> list[float]:
    """The best value up to each point; what is no number is worst."""
    return list(itertools.accumulate((value if value == value else math.inf for value in curve), min))


def dominating(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> list[int]:
    """Of each trial with values, how many others are nowhere worse and somewhere better."""
    from optuna.study import StudyDirection

    if not trials:
        return []
    signs = [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions]
    found = np.array([trial.values for trial in trials]) * signs
    nowhere_worse = (found[:, None] <= found[None, :]).all(2)
    return (nowhere_worse & (found[:, None] < found[None, :]).any(2)).sum(0).tolist()


def _judged(trials: Sequence[FrozenTrial], enough: int) -> list[tuple[FrozenTrial, float]]:
    from optuna.trial import TrialState

    curves = {t.number: [t.intermediate_values[step] for step in sorted(t.intermediate_values)] for t in trials}
    unfinished = [t for t in trials if t.state in (TrialState.PRUNED, TrialState.RUNNING) and curves[t.number]]
    whole = [t for t in trials if t.state == TrialState.COMPLETE]
    if not unfinished or len(whole) >= enough:
        return [(t, float(t.values[0])) for t in whole]
    lengths = sorted((len(curves[t.number]) for t in (*unfinished, *whole) if curves[t.number]), reverse=True)
    length = lengths[min(enough, len(lengths)) - 1]
    out = [(t, float(curves[t.number][length - 1])) for t in (*unfinished, *whole) if len(curves[t.number]) >= length]
    out += [(t, float(t.values[0])) for t in whole if not curves[t.number]]
    return sorted(out, key=lambda pair: pair[0].number)


def level(inner: BaseSampler, enough: int = ENOUGH) -> BaseSampler:
    """A sampler that knows finished trials only, shown all trials as `rated` judges them."""
    from optuna.samplers import BaseSampler

    class Sampler(BaseSampler):
        def reseed_rng(self) -> None:
            inner.reseed_rng()

        def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
            return inner.infer_relative_search_space(_seen(study, enough), trial)

        def sample_relative(
            self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
        ) -> dict[str, Any]:
            return inner.sample_relative(_seen(study, enough), trial, search_space)

        def sample_independent(
            self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
        ) -> Any:
            return inner.sample_independent(_seen(study, enough), trial, param_name, param_distribution)

        def before_trial(self, study: Study, trial: FrozenTrial) -> None:
            inner.before_trial(_seen(study, enough), trial)

        def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
            inner.after_trial(_seen(study, enough), trial, state, values)

    return Sampler()


def _seen(study: Study, enough: int) -> Study:
    """The study itself where every trial ran to its end, and one to look at otherwise."""
    from optuna.study import Study
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    waiting = [t for t in trials if t.state in (TrialState.PRUNED, TrialState.RUNNING) and t.intermediate_values]
    if not waiting or len(study.directions) > 1:
        return study
    judged = {t.number: worth for t, worth in _judged(trials, enough) if math.isfinite(worth)}
    view = View(study._storage)
    view.trials = [_finished(t, judged[t.number]) if t.number in judged else t for t in trials]
    seen = Study(study.study_name, view.storage)
    seen._thread_local = study._thread_local
    return seen


def _finished(trial: FrozenTrial, worth: float) -> FrozenTrial:
    from optuna.trial import TrialState

    out = copy.copy(trial)
    out.state, out.values = TrialState.COMPLETE, [worth]
    out.datetime_complete = trial.datetime_complete or trial.datetime_start
    return out
