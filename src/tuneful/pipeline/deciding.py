"""What a search does next: which trial goes on or begins, decided by one process at a time from what all of them have done.

    with study.turn():
        trial = deciding.claimed()       # claimed for this process; None: `ended` says why, or others have to be waited for

A decision is a pure function of the trials, so that the same study comes about again. Where it is to come about on any number of workers
(`at_once`), decision n is made from what the decisions up to n - at_once have led to, and from nothing else: those under way stand there
as running, with what they had when they began, whether or not they have ended meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuneful.core.board import changed
from tuneful.core.budget import Clock
from tuneful.core.chance import key
from tuneful.core.errors import RecipeError
from tuneful.core.outlook import Least, outlook
from tuneful.core.recipe import Recipe
from tuneful.core.records import as_of
from tuneful.core.space import Space
from tuneful.core.study import Study
from tuneful.core.trial import AT_RANDOM, Trial
from tuneful.pipeline import state
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.earlier import LIKE
from tuneful.techniques.interfaces import Proposer, Scheduler, Step
from tuneful.techniques.models.morph import growable
from tuneful.techniques.search import PBT, Random
from tuneful.techniques.search.pbt import movable, stirred
from tuneful.techniques.search.portfolio import mapped
from tuneful.techniques.search.prior import believed, is_drawn

STATE = "state.safetensors"
FORK = (
    "heir.safetensors"  # in the folder of a trial whose place a copy of another takes: the state with which that one begins
)
NEARLY = 1 - 1e-6  # of a length is that length: epochs are sums of parts
SEED = "seed.safetensors"  # in the folder of a trial that begins as a grown copy of another: that one's state
LATE = 0.9  # of the time that a step needs, as far as it is known: where less is left, it is not begun
CONTROL = f"{AT_RANDOM}: the control arm, by which the search is judged"
MARGIN = 1.15  # times the time that the best trial needs: when so much is left, it goes first


class Deciding:
    """study, recipe, space, clock: of the search. at_once: how many legs of a study that is to be the same on any number of workers may
    be under way when one is decided; 0: it need not be the same. control: the share of the new trials that are drawn at random, so that
    it is known what chance alone would have come to. least: the gain a minute below which no further trial begins; None: all of the budget
    is used.

    ended: why nothing more is to be done, once it is so. around: seconds that pass for a second of training.
    """

    def __init__(
        self,
        study: Study,
        recipe: Recipe,
        space: Space,
        clock: Clock,
        proposer: Proposer,
        scheduler: Scheduler,
        *,
        at_once: int = 0,
        control: float = 0.0,
        least: Least | None = None,
    ) -> None:
        self.control, self.least = control, least
        self.study, self.recipe, self.space, self.clock = study, recipe, space, clock
        self.proposer, self.scheduler, self.at_once = proposer, scheduler, at_once
        self.epochs = float(recipe.epochs)
        self.ended, self.around = "", 1.0
        self._looked: tuple[Trial, ...] = ()
        self._stopped: dict[int, Trial] = {}
        self.first = self._first()
        self.proposer = proposer.after(max(0, len(self.first) - 1))
        self.stir = scheduler.stir if isinstance(scheduler, PBT) else 0.0
        if isinstance(scheduler, PBT) and len(space) and not movable(space):
            raise RecipeError(
                f"scheduler=pbt changes numbers in mid-training, and of {', '.join(space.as_data())} none can be",
                "give a range to one of the optimizer, the regularizers or the augments, such as lr=1e-4..1e-1, or take another scheduler",
            )

    def claimed(self) -> Trial | None:
        """The next trial, claimed for this process in its turn; its tag "until" says up to how many epochs."""
        for trial in self.study.orphans():
            return self._adopted(trial)
        if self.clock.left_for_search <= 0:
            self.ended = "the time for searching is over"
            return None
        trials = self.study.trials()
        if (trial := self._interrupted(trials)) is not None:
            return self.study.claim(trial.number, "it was interrupted", goal(trial), again=True)
        running = self.study.running()
        if not self.at_once:
            return self._taken(self.scheduler.next(trials, self.study.objective, self.epochs), trials, running)
        made = self.study.decisions()
        for known in range(made + 1 - self.at_once, made + 1):  # more is looked at only where a scheduler has to wait for it
            if any(trial.tags["legs"][-1][0] <= known for trial in running):
                return None
            seen = self.study.seen(known)
            if (step := self.scheduler.next(seen, self.study.objective, self.epochs)) is not None or known == made:
                return self._taken(step, seen, running)
        return None

    def _interrupted(self, trials: tuple[Trial, ...]) -> Trial | None:
        """The first of those that wait where nobody meant them to: before what they were to reach, or at their end."""
        for trial in changed(self._looked, trials):
            if trial.state == "paused" and (not reached(trial, goal(trial)) or reached(trial, self.epochs)):
                self._stopped[trial.number] = trial
            else:
                self._stopped.pop(trial.number, None)
        self._looked = trials
        return self._stopped[min(self._stopped)] if self._stopped else None

    def _adopted(self, trial: Trial) -> Trial:
        """A trial whose process has died, claimed by this one. How often that was so without a new point is kept."""
        deaths = int(trial.tags.get("deaths", 0)) + 1 if trial.tags.get("had") == len(trial.curve) else 1
        return self.study.claim(trial.number, "its process had ended", goal(trial), again=True, deaths=deaths)

    def _taken(self, step: Step | None, trials: Sequence[Trial], running: Sequence[Trial]) -> Trial | None:
        """The trial of a step, or of the one that has to come before it. No step: others have to come to theirs first."""
        if step is None:
            self.ended = "" if running else "nothing is left to be done"
            return None
        if self._must_finish(trials, step):
            step = self._finishing(trials) or step
        elif self._too_late(trials, step):
            self.ended = "" if running else "the time for searching is over"
            return None
        if step.trial is not None:
            return self.study.claim(step.trial, step.because, step.epochs)
        begun = len(self.study.trials())
        if step.parent is not None and self.clock.trials_left(begun) > 0:
            return self._copy(step, begun)
        if not (said := self._worthless(trials)):
            said = f"all {self.clock.budget.trials} trials of the budget have begun"
            if self.clock.trials_left(begun) > 0:
                if (trial := self._new(step, trials, begun)) is not None:
                    return trial
                said = "every recipe of the space has been tried"
        if running:  # what they come to may send another one on
            return None
        trials = self.study.trials()
        step = self.scheduler.closing(trials, self.study.objective, self.epochs)
        last = step if step is not None and step.trial is not None else self._finishing(trials)
        if last is not None and last.trial is not None:
            return self.study.claim(last.trial, last.because, last.epochs)
        self.ended = said
        return None

    def _worthless(self, trials: Sequence[Trial]) -> str:
        """Why no further trial is worth its time, in words; "" where one is, or nobody asked."""
        if self.least is None:
            return ""
        rated = [t for t in trials if t.last and t.state != "failed" and math.isfinite(t.last.value.value)]
        values = [t.last.value.value for t in rated if t.last]
        smaller = self.study.objective.direction == "min"
        ahead = outlook(values, smaller)
        minutes = statistics.fmean(max(t.cost, t.last.seconds if t.last else 0.0) for t in rated) / 60 if rated else 0.0
        if ahead is None or minutes <= 0:
            return ""
        rate, wanted = ahead.gain / minutes, self.least.of(min(values) if smaller else max(values))
        if rate >= wanted:
            return ""
        return f"a further minute is expected to gain {rate:.2g} {self.study.objective.metric}, less than the {wanted:.2g} that was asked for"

    def _new(self, step: Step, trials: Sequence[Trial], begun: int) -> Trial | None:
        """A new trial; None when the space has no new recipe."""
        # Of a trial at work only what came before its leg is known: how far it is just now depends on the clock, and on interruptions.
        settled, rated = trials, self.study.rated()
        if self.at_once or self.study.running():
            settled = [
                as_of(t, int(t.tags["legs"][-1][0]) - 1) if t.state == "running" and t.tags.get("legs") else t
                for t in trials
            ]
            rated = len([None for trial in settled if trial.curve])
        sampler = self.proposer.sampler(key(self.recipe.seed, "proposal", begun))
        if begun < len(self.first):
            because, given = self.first[begun]
            if (trial := self.study.ask(self.space, sampler, self.recipe, because, step.epochs, given)) is not None:
                return trial
        because = self.proposer.because(rated)
        if is_drawn(self.space, begun, self.recipe.seed):
            sampler, because = (
                believed(self.space, key(self.recipe.seed, "believed", begun)),
                "drawn near what you believe to be good",
            )
        drawn = int((begun + 1) * self.control) > int(begun * self.control)
        if not drawn and (trial := self._grown(step, settled, begun)) is not None:
            return trial
        if drawn:
            sampler, because = Random().sampler(key(self.recipe.seed, "control", begun)), CONTROL
        return self.study.ask(self.space, sampler, self.recipe, because, step.epochs, seen=settled)

    def _grown(self, step: Step, trials: Sequence[Trial], begun: int) -> Trial | None:
        """A new trial that begins as a grown copy of one that has trained, where the proposer wants that, and it can be."""
        seed = key(self.recipe.seed, "birth", begun)
        birth = self.proposer.birth(trials, self.space, self.study.objective, seed)
        if birth is None:
            return None
        large: Any = self.space.apply(self.recipe, birth.dials)
        small: Any = from_data(self.study.trial(birth.parent).recipe)
        source = self.study.trial_folder(birth.parent) / STATE
        if self.study.depot is not None:
            self.study.depot.get(birth.parent, source, state.step(source))
        if growable(small.model, large.model) or not source.exists():
            return None
        born = {"number": birth.parent, "epoch": epoch(self.study.trial(birth.parent))}
        sampler = self.proposer.sampler(seed)
        made = self.study.ask(self.space, sampler, self.recipe, birth.because, step.epochs, birth.dials, parent=born)
        if made is not None:
            place = self.study.trial_folder(made.number) / SEED
            linked(source, place)
            if self.study.depot is not None:
                self.study.depot.put(made.number, state.step(place), place)
        return made

    def _copy(self, step: Step, begun: int) -> Trial | None:
        """A new trial that goes on from where another one stands, with other rates. That one's state is kept for it first."""
        assert step.parent is not None
        assert step.replaces is not None
        model = self.study.trial(step.parent)
        fork(self.study, step.parent, step.replaces)
        dials = stirred(model.dials, self.space, self.stir, key(self.recipe.seed, "copy", begun))
        born = {"number": step.parent, "replaces": step.replaces, "epoch": epoch(model)}
        sampler = self.proposer.sampler(key(self.recipe.seed, "proposal", begun))
        made = self.study.ask(self.space, sampler, self.recipe, step.because, step.epochs, dials, parent=born)
        if made is not None and self.study.depot is not None:
            path = self.study.trial_folder(step.replaces) / FORK
            self.study.depot.put(made.number, state.step(path), path)
        return made

    def _first(self) -> list[tuple[str, dict[str, Any]]]:
        """What is tried first, with the reason: the defaults, and points that did well elsewhere where the proposer begins with such."""
        defaults = self._defaults()
        if defaults is None:
            return []
        found = [("the defaults come first", defaults)]
        known = {**self._values(), **defaults}
        for because, told in self.study.about.get(LIKE, ()):
            found.append((str(because), self._whole({**known, **told})))
        if self.proposer.portfolio and len(self.space):
            optimizer = str(getattr(self.recipe.optimizer, "kind", ""))
            points = mapped(self.space, known, optimizer)
            found += [("one of AlgoPerf's published settings, mapped to the space", point) for point in points]
        return found

    def _whole(self, values: dict[str, Any]) -> dict[str, Any]:
        """Of these values those of the dials that exist beside one another."""
        found: dict[str, Any] = {}
        for dial in self.space:
            if dial.exists(found) and dial.path in values:
                found[dial.path] = values[dial.path]
        return found

    def _values(self) -> dict[str, Any]:
        """The recipe's value of each dial that it has and whose range holds it, whatever the choices before it are."""
        found: dict[str, Any] = {}
        for dial in self.space:
            with contextlib.suppress(RecipeError):
                value = self.recipe.get(dial.path)
                if dial.holds(value := getattr(value, "kind", value)):
                    found[dial.path] = value
        return found

    def _defaults(self) -> dict[str, Any] | None:
        """The dials as the recipe has them, where all lie inside their ranges."""
        given: dict[str, Any] = {}
        for dial in self.space:
            if not dial.exists(given):
                continue
            value = self.recipe.get(dial.path)
            value = getattr(value, "kind", value)
            if not dial.holds(value):
                return None
            given[dial.path] = value
        return given

    # ------------------------------------------------------------------------------------------------ the last one

    def _must_finish(self, trials: Sequence[Trial], step: Step) -> bool:
        """Would the best trial not reach its full length any more if it had to wait for this step?"""
        if math.isinf(self.clock.left_for_search) or (best := self._best_unfinished(trials)) is None:
            return False
        need = pace(best) * (self.epochs - epoch(best))
        slowest = max(trial.pace for trial in trials)
        more = step.epochs - (0.0 if step.trial is None else epoch(self.study.trial(step.trial)))
        return self.around * (need + slowest * max(more, self.epochs / 3)) > self.clock.left_for_search

    def pressing(self, left: float) -> bool:
        """Is it high time that the best trial, wherever it stands, goes on to its full length alone? left: seconds for searching."""
        if math.isinf(left):
            return False
        rated = [t for t in self.study.trials() if t.state in ("running", "paused", "done") and t.last is not None]
        best = max(rated, key=self._merit, default=None)
        if best is None or best.state == "done" or reached(best, self.epochs):
            return False
        return MARGIN * self.around * pace(best) * (self.epochs - epoch(best)) + 0.5 > left

    def _merit(self, trial: Trial) -> tuple[float, int]:
        value = trial.last.value.value if trial.last else math.nan
        sign = 1.0 if self.study.objective.direction == "max" else -1.0
        return (sign * value if value == value else -math.inf), -trial.number

    def finisher(self) -> Trial | None:
        """The best trial that waits, claimed for its full length; None where one that has ended, or is on its way there, is better."""
        step = self._finishing(self.study.trials())
        return None if step is None or step.trial is None else self.study.claim(step.trial, step.because, step.epochs)

    def _too_late(self, trials: Sequence[Trial], step: Step) -> bool:
        """Would the time be over before this step has come to anything? One that has ended stands at its full length already."""
        if math.isinf(self.clock.left_for_search):
            return False
        if not (ended := [t for t in trials if t.state == "done" and t.curve]):
            return False
        trial = None if step.trial is None else self.study.trial(step.trial)
        each = pace(trial) if trial is not None else statistics.median(pace(t) for t in ended)
        return LATE * self.around * each * (step.epochs - (epoch(trial) if trial else 0.0)) > self.clock.left_for_search

    def _finishing(self, trials: Sequence[Trial]) -> Step | None:
        """Bring the best trial to its end, unless one that has ended is better."""
        best = self._best_unfinished(trials)
        return best and Step(best.number, self.epochs, "the best so far is brought to its full length")

    def _best_unfinished(self, trials: Sequence[Trial]) -> Trial | None:
        """The best trial, where it waits; None where it has ended, or is on its way to its full length."""
        sign = 1.0 if self.study.objective.direction == "max" else -1.0
        best, merit = None, -math.inf
        for trial in trials:
            state, last = trial.state, trial.last
            if last is None or not (
                state == "paused" or state == "done" or (state == "running" and trial.goal >= self.epochs)
            ):
                continue
            value = sign * last.value.value
            if value > merit or (best is None and value == value):
                best, merit = trial, value
        return best if best is not None and best.state == "paused" else None


def fork(study: Study, number: int, replaces: int) -> None:
    """Keep the state of a trial as it is now for the one that is to begin as its copy in the place of another."""
    path, place = study.trial_folder(number) / STATE, study.trial_folder(replaces) / FORK
    if study.depot is not None:
        study.depot.get(number, path, state.step(path))
    if not path.exists():
        return  # the copy will say so
    linked(path, place)


def linked(path: Path, place: Path) -> None:
    """A state at another place as well, without a copy where the disk can do that."""
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}.part")
    aside.unlink(missing_ok=True)
    try:
        os.link(path, aside)  # a state is never written to, only replaced
    except OSError:
        shutil.copyfile(path, aside)
    aside.replace(place)


def reasoned(study: Study, scheduler: Scheduler) -> tuple[Trial, ...]:
    """The trials, of which those that wait say why. Raises KeyError where the search has not begun."""
    trials, epochs = study.trials(), float(json.loads(study.about["recipe"])["epochs"])
    said = scheduler.waiting(trials, study.objective, epochs)
    return tuple(replace(t, ended_because=f"waits: {said[t.number]}") if t.number in said else t for t in trials)


def goal(trial: Trial) -> float:
    """How many epochs it was last asked to reach."""
    return trial.goal


def reached(trial: Trial, epochs: float) -> bool:
    """Has it so many epochs?"""
    return trial.epoch >= epochs * NEARLY


def epoch(trial: Trial) -> float:
    """How far it is."""
    return trial.epoch


def pace(trial: Trial) -> float:
    """Seconds that an epoch of this trial takes."""
    return trial.pace


__all__ = ["FORK", "SEED", "STATE", "Deciding", "epoch", "goal", "pace", "reached", "reasoned"]
