"""Freeze-thaw: of all trials that wait, and a new one, train the one that is most likely to be better soon.

A Gaussian process foretells all curves (`belief`). For each decision a horizon h and a bar T are drawn, h uniformly up to the full length and

    T = best - 10^u (worst - best),   u uniform in [-4, -1],

and the trial with the largest probability to be below T after h more epochs goes on for one step; a new one is judged by the best of
some points drawn at random. That the horizon is drawn lets some decisions look far and others near, and that what is asked of each is how
it stands after the same more epochs keeps the new ones, of which least is known, from always winning.

Source: Swersky, Snoek & Adams, 2014, arXiv:1406.3896 (to freeze and thaw by a model of curves); the drawn horizon and bar: Rakotoarison et
al., ICML 2024, section 4 (MFPI-random), arXiv:2404.16795.  Their model is another one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tuneful.core.chance import key
from tuneful.core.config import Count
from tuneful.core.task import Objective
from tuneful.core.trial import Trial
from tuneful.techniques.interfaces import Scheduler, Step
from tuneful.techniques.search.rungs import beyond, by_number, epoch_of, rank

Array = NDArray[np.float64]
POINTS = 60  # to which the scales of the model are fitted at each decision
LEAST, MOST = -4.0, -1.0  # ends of u


class FreezeThaw(Scheduler):
    """The trial that is most likely to be better soon, by a model of all curves."""

    kind: Literal["freeze_thaw"] = "freeze_thaw"
    every: Annotated[float, Field(gt=0, le=1)] = 0.04  # the length of a step, as a share of the full length
    startup: Count = 6  # trials that begin before the first fit
    candidates: Count = 64  # points of the space by which a new trial is judged

    source: ClassVar[str] = "Swersky, Snoek & Adams, 2014, arXiv:1406.3896; Rakotoarison et al., ICML 2024, arXiv:2404.16795"
    cost: ClassVar[str] = "one saved state for each paused trial, some hundredths of a second a decision"

    def next(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step:
        step = self.every * epochs
        known = [trial for trial in by_number(trials) if trial.curve]
        if len(known) < self.startup or not any(trial.state == "paused" for trial in known):
            return Step(None, step, f"the model of curves begins after {self.startup} trials")
        return self._chosen(known, objective, epochs)

    def closing(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step:
        rated = [trial for trial in by_number(trials) if trial.last is not None and trial.state != "failed"]
        best = min(rated, key=lambda one: rank(one.last.value.value, objective) if one.last else math.inf, default=None)
        if best is None or best.state != "paused" or beyond(epoch_of(best), epochs):
            return Step(None, epochs, "nothing better waits than what has come to its end")
        return Step(best.number, epochs, "no other can begin any more, so the best is brought to its end")

    def _chosen(self, known: Sequence[Trial], objective: Objective, epochs: float) -> Step:
        from scipy.special import ndtr

        from tuneful.techniques.search.belief import Belief, Seen, fit, picked, thinned
        from tuneful.techniques.search.rated import lows

        step = self.every * epochs
        losses = [[rank(point.value.value, objective) for point in trial.curve] for trial in known]
        grid = epochs / max(
            len(trial.curve) / epoch_of(trial) * epochs for trial in known
        )  # epochs from one point to the next
        seen = picked([lows(one) for one in losses], [trial.state == "failed" for trial in known], round(epochs / grid))
        shown = [known[k] for k in seen.kept]
        x, columns = _columns(shown)
        every = Seen(x, seen.of, seen.s, seen.y)
        dice = np.random.default_rng(key(len(known), "horizon", sum(len(trial.curve) for trial in known)))
        horizon, share = float(dice.uniform(step, epochs)), 10.0 ** dice.uniform(LEAST, MOST)
        bar = float(seen.y.min() - share * (seen.y.max() - seen.y.min()))
        belief = Belief(every, fit(thinned(every, POINTS)), math.log(min(horizon, epochs) / grid))
        ends = np.array([min(epoch_of(trial) + horizon, epochs) for trial in shown])
        mean, spread = belief.spread_of_trials(np.log(ends / grid))
        free = np.array([trial.state == "paused" and not beyond(epoch_of(trial), epochs) for trial in shown])
        chance = np.where(free, ndtr((bar - mean) / spread), -1.0)
        mean, spread = belief.of_new(_drawn(columns, self.candidates, dice))
        fresh = float(ndtr((bar - mean) / spread).max())
        best = int(chance.argmax())
        if fresh >= chance[best]:
            return Step(
                None,
                step,
                f"within {horizon:.3g} epochs a new one is likelier to be better ({fresh:.2g}) than those that wait",
            )
        trial = shown[best]
        said = f"of those that wait it is the likeliest to be better within {horizon:.3g} epochs, with a chance of {chance[best]:.2g}"
        return Step(trial.number, min(epochs, epoch_of(trial) + step), said)


def _columns(trials: Sequence[Trial]) -> tuple[Array, list[tuple[int, ...]]]:
    """The dials of trials as numbers between which distance means something, by what they have had: numbers between the least and the largest,
    a column for each value of a choice. And which columns belong to one dial."""
    out: list[Array] = []
    groups: list[tuple[int, ...]] = []
    for name in dict.fromkeys(name for trial in trials for name in trial.dials):
        values: list[Any] = [trial.dials.get(name) for trial in trials]
        had = [value for value in values if value is not None]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in had):
            logs = min(had) > 0 and max(had) >= 10 * min(had)
            places = np.array([math.nan if v is None else math.log(v) if logs else float(v) for v in values])
            low, span = np.nanmin(places), max(float(np.nanmax(places) - np.nanmin(places)), 1e-12)
            columns = [np.nan_to_num((places - low) / span, nan=0.5)]
        else:
            columns = [np.array([float(value == one) for value in values]) / math.sqrt(2) for one in dict.fromkeys(had)]
        groups.append(tuple(range(len(out), len(out) + len(columns))))
        out += columns
    return np.stack(out, axis=1) if out else np.zeros((len(trials), 1)), groups


def _drawn(groups: Sequence[tuple[int, ...]], count: int, dice: np.random.Generator) -> Array:
    """Points at random in the same columns."""
    width = max((column for group in groups for column in group), default=0) + 1
    found = dice.random((count, width))
    for group in groups:
        if len(group) > 1:
            found[:, group] = np.eye(len(group))[dice.integers(len(group), size=count)] / math.sqrt(2)
    return found
