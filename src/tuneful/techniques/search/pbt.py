"""Population-based training: a population trains side by side; now and then the worst become copies of the best, with other rates.

`population` trials begin at random. Each time when all have trained for another `every` of the full length, the worst `share` of
them stop, and in the place of each begins a copy of one of the best `share`, drawn at random: weights, optimizer and all, and of its
numbers each becomes

    x (1 - stir)  or  x (1 + stir),   whichever the dice say, and the other one where that would leave the range

so that what comes out is a course of settings and no single recipe. Only what may change in mid-training is changed: numbers of
the optimizer, the schedule, the loss, the regularizers and the augments. When a population has come to its full length, the next begins.

Source: Jaderberg et al., 2017, section 4.1.1 (truncation selection, perturbation), arXiv:1711.09846.  Theirs is asynchronous; here the members
of a population wait for one another, so that the same search comes about again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from tuneful.core.chance import key
from tuneful.core.space import Choice, Space
from tuneful.core.task import Objective
from tuneful.core.trial import Trial
from tuneful.techniques.interfaces import Scheduler, Step
from tuneful.techniques.search.rungs import beyond, by_number, epoch_of, over, passed, rank, until

MOVABLE = ("optimizer", "schedule", "loss", "regularizers", "augments")


class PBT(Scheduler):
    """The worst of a population become copies of the best, with other rates."""

    kind: Literal["pbt"] = "pbt"
    population: Annotated[int, Field(ge=2)] = 10  # trials that train side by side
    every: Annotated[float, Field(gt=0, le=0.5)] = 0.1  # from one look at all to the next, as a share of the full length
    share: Annotated[float, Field(gt=0, le=0.5)] = 0.2  # of the population that is replaced
    stir: Annotated[float, Field(gt=0, lt=1)] = 0.2  # how far a copy's numbers are from their model, as a share of them

    source: ClassVar[str] = "Jaderberg et al., 2017, arXiv:1711.09846"
    cost: ClassVar[str] = "one saved state for each member; what it finds is a course of settings, not a recipe"

    def looks(self, epochs: float) -> tuple[float, ...]:
        """The epochs at which all are compared; the last is the full length."""
        count = max(2, math.floor(1 / self.every + 1e-9))
        return (*(epochs * self.every * k for k in range(1, count)), epochs)

    def next(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step | None:
        return self._next(trials, objective, epochs, closing=False)

    def closing(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step | None:
        return self._next(trials, objective, epochs, closing=True)

    def _next(self, trials: Sequence[Trial], objective: Objective, epochs: float, closing: bool) -> Step | None:
        looks, roots = self.looks(epochs), [trial for trial in by_number(trials) if "parent" not in trial.tags]
        heirs = {int(trial.tags["parent"]["replaces"]): trial for trial in trials if "parent" in trial.tags}
        for first in range(0, len(roots), self.population):
            members = roots[first : first + self.population]
            if len(members) < self.population and not closing:
                break
            for length, further in zip(looks, (*looks[1:], epochs), strict=True):
                for one in members:
                    if one.state == "paused" and not beyond(epoch_of(one), length):
                        return Step(one.number, length, f"all of its population come to {length:.3g} epochs")
                if not all(over(one, length) for one in members):
                    return None
                members, step = self._replaced(members, heirs, objective, length, further)
                if step is not None and not closing:
                    return step
        return None if closing else Step(None, looks[0], f"a population of {self.population} begins")

    def _replaced(
        self, members: list[Trial], heirs: Mapping[int, Trial], objective: Objective, length: float, further: float
    ) -> tuple[list[Trial], Step | None]:
        """The members from this length on; and the copy that is to begin next, where one is missing."""
        if length == further:
            return members, None
        found = {trial.number: passed(trial, length) for trial in members}  # also of those that have failed since
        known = {number: value for number, value in found.items() if value is not None and math.isfinite(value)}
        ranked = [t for t in by_number(members) if t.number in known]
        ranked.sort(key=lambda trial: rank(known[trial.number], objective))
        lost = [trial for trial in members if trial.number not in known]
        count = max(1, int(self.share * self.population))
        losers = [*ranked[max(1, len(ranked) - max(0, count - len(lost))) :], *lost]
        models = [
            trial
            for trial in ranked[:count]
            if trial not in losers and trial.state == "paused" and not beyond(until(trial), further)
        ]
        stay = [trial for trial in ranked if trial not in losers]
        step: Step | None = None
        for loser in losers:
            if loser.number in heirs:
                stay.append(heirs[loser.number])
            elif models and step is None:
                model = models[key(loser.number, "model", round(length * 1000)) % len(models)]
                said = f"trial {loser.number} was {self._place(loser, ranked)} at {length:.3g} epochs; a copy of trial {model.number} takes its place"
                step = Step(None, further, said, parent=model.number, replaces=loser.number)
            elif not models and loser in ranked:
                stay.append(loser)
        return stay, step

    def _place(self, loser: Trial, ranked: Sequence[Trial]) -> str:
        return "lost" if loser not in ranked else f"number {1 + ranked.index(loser)} of {len(ranked)}"

    def waiting(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> dict[int, str]:
        told = super().waiting(trials, objective, epochs)
        for trial in trials:
            born: Mapping[str, Any] = trial.tags.get("parent", {})
            if born and int(born["replaces"]) in told:
                told[int(born["replaces"])] = f"trial {trial.number}, a copy of trial {born['number']}, took its place"
        return told


def movable(space: Space) -> list[str]:
    """The dials that may change in mid-training: numbers that no shape hangs on."""
    return [dial.path for dial in space if dial.path.split(".")[0] in MOVABLE and not isinstance(dial.range, Choice)]


def stirred(dials: Mapping[str, Any], space: Space, stir: float, seed: int) -> dict[str, Any]:
    """These dials with each number that may change moved by a share of itself, inside its range."""
    found, dice, moving = dict(dials), np.random.default_rng(key(seed, "stir")), movable(space)
    for dial in space:
        if dial.path not in found or dial.path not in moving or isinstance(dial.range, Choice):
            continue
        low, high = dial.range.ends
        value, up = found[dial.path], bool(dice.integers(2))
        step = stir * abs(value) if abs(value) > 1e-3 * (high - low) or dial.range.log else stir * (high - low)
        step = max(step, 1) if dial.range.integer else step
        inside = [
            end for end in ((value + step, value - step) if up else (value - step, value + step)) if low <= end <= high
        ]
        at = inside[0] if inside else (high if up else low)
        found[dial.path] = round(at) if dial.range.integer else at
    return found
