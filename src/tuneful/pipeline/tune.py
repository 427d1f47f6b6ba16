"""Try recipes until the clock says stop: a search over a space, an iterator of beats.

    search = Search(study, task, recipe, space, clock)
    for beat in search: ...
    best = search.candidate()

A proposer says what to try, a scheduler which trial gets the next epochs; between its turns a trial is paused exactly. What a
search has done is in the study and beside it on the disk after every beat: kill it at any moment, make it again from the
same study, and it goes on. Before the time for searching ends, the best trial is brought to its full length.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneful.core.budget import Clock
from tuneful.core.chance import key
from tuneful.core.errors import BudgetError, ModelError, RecipeError, StateError, TunefulError
from tuneful.core.measure import Measure
from tuneful.core.recipe import Recipe
from tuneful.core.space import Space
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.core.trial import Point, Trial
from tuneful.pipeline import files, plans
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.carrying import able
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.distribute import Led
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.plan import SHARE, Plan
from tuneful.pipeline.plans import Plans
from tuneful.pipeline.ranks import ALONE, Ranks
from tuneful.pipeline.train import Run
from tuneful.techniques.interfaces import Proposer, Scheduler, Step
from tuneful.techniques.models import with_callable
from tuneful.techniques.search import ASHA, TPE

STATE = "state.safetensors"
SAME_FAILURES = 3  # first trials that may fail alike before the search gives up
SPENT_EVERY = 2.0  # seconds between two notes of the time spent, so much may be lost count of by a kill
KEPT = 5  # done trials whose weights are kept


@dataclass(frozen=True)
class Beat:
    """A sign of life. trial: at work; point: just made, or None; best: the best last value of any trial so far."""

    trial: int
    epoch: float
    epochs: float
    point: Point | None
    best: Measure | None
    trials: int


class Search:
    """One search, or one training: an empty space has one trial.

    study: where trials are kept; recipe: resolved, what the space leaves open; clock: what may be spent; model: the user's
    own network, when it is not in a file; plans: where plans of execution are kept; ranks: the group that this process leads. Iterating works; when it ends, `ended` says why.
    """

    def __init__(
        self,
        study: Study,
        task: Task,
        recipe: Recipe,
        space: Space,
        clock: Clock,
        *,
        proposer: Proposer | None = None,
        scheduler: Scheduler | None = None,
        halt: Halt | None = None,
        device: str | None = None,
        model: Any = None,
        plans: Plans | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.study, self.task, self.recipe, self.space, self.clock = study, task, recipe, space, clock
        self.proposer = proposer or TPE()
        self.scheduler = scheduler or ASHA()
        self.halt = halt if halt is not None else Halt()
        self.device, self.model, self.ranks = device, model, ranks
        self.plans = plans if plans is not None else Plans()
        self.epochs = float(recipe.epochs)
        self.ended = ""
        self._passed, self._trained = 0.0, 0.0  # seconds of this session that trials took, and those in which they trained

    @property
    def _kind(self) -> type[Run]:
        """What its runs are: led where other processes follow."""
        return Led if self.ranks.world > 1 else Run

    def __iter__(self) -> Iterator[Beat]:
        self._tidy()
        self.halt.deadline = time.monotonic() + self.clock.left_for_search
        while not self.ended:
            if self.halt.requested:
                self.ended = "it was asked to stop"
                return
            trials = self.study.trials()
            step = self._next(trials)
            if step is None:
                return
            trial = self._taken(step, trials)
            if trial is None:
                if (last := self._finish_best(self.study.trials())) is None:
                    self.ended = self.ended or "every recipe of the space has been tried"
                    return
                step = last
                trial = self._taken(step, trials)
            if trial is not None:
                began, cost = time.monotonic(), trial.cost
                yield from self._work(trial, step.epochs)
                self._passed += time.monotonic() - began
                self._trained += self.study.trial(trial.number).cost - cost
                self.study.remember("spent", self.clock.spent)

    # ------------------------------------------------------------------------------------------------ what next

    def _next(self, trials: tuple[Trial, ...]) -> Step | None:
        """What to do next; None (and `ended` is set) when nothing is to be done."""
        for trial in trials:
            if trial.state == "running":
                return Step(trial.number, _goal(trial), "its process had ended")
        if self.clock.left_for_search <= 0:
            self.ended = "the time for searching is over"
            return None
        for trial in trials:
            if trial.state == "paused" and not _reached(trial, _goal(trial)):
                return Step(trial.number, _goal(trial), "it was interrupted")
        step = self.scheduler.next(trials, self.task.objective, self.epochs)
        if self._must_finish(trials, step):
            step = self._finish_best(trials) or step
        if step.trial is None and self.clock.trials_left(len(trials)) <= 0:
            step = self._finish_best(trials)
            self.ended = "" if step else f"all {self.clock.budget.trials} trials of the budget have begun"
        return step

    def _must_finish(self, trials: tuple[Trial, ...], step: Step) -> bool:
        """Would the best trial not reach its full length any more if it had to wait for this step?"""
        best = self._best_unfinished(trials)
        if best is None or math.isinf(self.clock.left_for_search):
            return False
        need = _pace(best) * (self.epochs - _epoch(best))
        slowest = max(_pace(trial) for trial in trials if trial.last is not None)
        more = step.epochs - (0.0 if step.trial is None else _epoch(self.study.trial(step.trial)))
        around = max(1.0, self._passed / self._trained) if self._trained else 1.0  # storing and showing take time as well
        return around * (need + slowest * max(more, self.epochs / 3)) > self.clock.left_for_search

    def _finish_best(self, trials: tuple[Trial, ...]) -> Step | None:
        """Bring the best trial to its end, unless one that has ended is better."""
        best = self._best_unfinished(trials)
        if best is None:
            return None
        return Step(best.number, self.epochs, "the best so far is brought to its full length")

    def _best_unfinished(self, trials: tuple[Trial, ...]) -> Trial | None:
        rated = [
            t
            for t in trials
            if t.state in ("paused", "done") and t.last is not None and t.last.value.value == t.last.value.value
        ]
        if not rated:
            return None
        sign = 1.0 if self.task.objective.direction == "max" else -1.0
        best = max(rated, key=lambda t: (sign * (t.last.value.value if t.last else 0.0), -t.number))
        return best if best.state == "paused" else None

    def _taken(self, step: Step, trials: tuple[Trial, ...]) -> Trial | None:
        """The trial of a step: taken up again, or a new one; None when the space has no new recipe."""
        if step.trial is not None:
            return self.study.claim(step.trial, step.because, step.epochs)
        rated = sum(trial.last is not None for trial in trials)
        sampler = self.proposer.sampler(key(self.recipe.seed, "proposal", len(trials)))
        if not trials and (given := self._defaults()) is not None:
            return self.study.ask(self.space, sampler, self.recipe, "the defaults come first", step.epochs, given)
        return self.study.ask(self.space, sampler, self.recipe, self.proposer.because(rated), step.epochs)

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

    # ------------------------------------------------------------------------------------------------ one trial

    def _work(self, trial: Trial, until: float) -> Iterator[Beat]:
        folder = self.study.trial_folder(trial.number)
        path = folder / STATE
        try:
            run = self._run(trial, path, until)
            for point in run.curve[
                len(trial.curve) :
            ]:  # a study that was lost and is made again learns what its trials know
                self.study.report(trial.number, point)
            # A process may have died between saving this state and telling the study of it: then there is nothing to train.
            there = bool(run.curve) and run.curve[-1].epoch >= until * (1 - 1e-6) and run.step < run.steps
            for point in () if there else run.walk():
                if point is not None:
                    self.study.report(trial.number, point)
                    if self.clock.spent > float(self.study.about.get("spent", 0.0)) + SPENT_EVERY:
                        self.study.remember("spent", self.clock.spent)
                yield self._beat(trial.number, run, point)
                if point is not None and point.epoch >= until * (1 - 1e-6) and run.step < run.steps and not run.ended:
                    break
            over = self.halt.due and not self.halt.requested
            if over and run.step and not (run.curve or run.ended) and self.study.best() is None:
                self.study.report(trial.number, run.look())  # time is up, and this is all that there is
        except (ModelError, RecipeError) as error:
            reason = str(error).splitlines()[0]
            alike = [old == reason for old in self._failures()]
            if len(self.space) == 0 or (self.study.best() is None and len(alike) + 1 >= SAME_FAILURES and all(alike)):
                raise  # the trial stays as it is: when the cause is mended, the same command takes it up again
            self.study.tell(trial.number, "failed", reason, sum(p.seconds for p in trial.curve[-1:]))
            return
        cost = sum(run.seconds.values())
        if run.ended.startswith(("diverged", "failed")):
            self.study.tell(trial.number, "failed", run.ended, cost)
            path.unlink(missing_ok=True)
            return
        run.save(path)
        _write_curve(folder / "curve.jsonl", run.curve)
        if run.ended:
            self.study.tell(trial.number, "done", run.ended, cost)
            self._tidy()
        else:
            self.study.pause(trial.number, cost)

    def _run(self, trial: Trial, path: Path, until: float) -> Run:
        recipe = from_data(trial.recipe)
        if self.model is not None:
            recipe = recipe.replace(model=with_callable(recipe.model, self.model))
        damage = ""
        if path.exists():
            try:
                run = self._kind.resume(
                    self.task, path, model=self.model, device=self.device, halt=self.halt, save_to=path, ranks=self.ranks
                )
                if run.recipe.id == resolve(recipe, self.task).id:
                    return run
                damage = f"the state {path} belongs to another recipe"
            except StateError as error:
                # It costs time but no result: made anew, the trial takes the same course.
                damage = error.message
        run = self._kind(self.task, recipe, device=self.device, halt=self.halt, save_to=path, ranks=self.ranks)
        if damage:
            run.notes.append(f"{damage}; trial {trial.number} is trained anew")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._plan(run, path.parent, until)
        heading = f"trial {trial.number} of {self.study.name}: {trial.because}"
        (path.parent / "recipe.toml").write_text(files.write(run.recipe, heading=heading), encoding="utf-8")
        return run

    def _plan(self, run: Run, folder: Path, until: float) -> None:
        """Let a run that begins go the way that its trial was begun with, or the fastest that is found now."""
        if (found := plans.read(folder)) is not None:
            run.use(able(found.chosen, run.device))
            return
        if self.ranks.world > 1:
            where = "GPUs" if run.device.type == "cuda" else "cores"
            plans.written(
                folder, Plan(run.execution, why=f"{self.ranks.world} processes train it; ways are timed for one alone")
            )
            run.notes.append(
                f"{self.ranks.world} processes train it on {where} of their own, each on its rows of every batch"
            )
            return
        most = SHARE * (self.clock.budget.seconds or math.inf) - self.plans.spent
        found = self.plans.of(run, steps=until * run.batches.per_epoch, most=max(0.0, most))
        plans.written(folder, found)
        if found.gain > 1:
            run.notes.append(f"trial {folder.name}: steps are carried out as {found.chosen}")

    def _failures(self) -> list[str]:
        """Why trials failed, also those of earlier sessions."""
        return [trial.ended_because for trial in self.study.trials() if trial.state == "failed"]

    def _beat(self, number: int, run: Run, point: Point | None) -> Beat:
        best = self.study.best() if point is not None else None
        return Beat(number, run.epoch, self.epochs, point, best.last.value if best and best.last else None, number + 1)

    def _tidy(self) -> None:
        """Keep the weights of the best done trials only; what can still go on keeps its state."""
        done = [trial for trial in self.study.trials() if trial.state == "done" and trial.last is not None]
        sign = -1.0 if self.task.objective.direction == "max" else 1.0
        done.sort(key=lambda trial: sign * (trial.last.value.value if trial.last else math.nan))
        failed = [trial for trial in self.study.trials() if trial.state == "failed"]
        for trial in (*done[KEPT:], *failed):
            (self.study.trial_folder(trial.number) / STATE).unlink(missing_ok=True)

    # ------------------------------------------------------------------------------------------------ what came of it

    def candidate(self) -> tuple[Trial, Candidate]:
        """The best trial and its network. Raises BudgetError when no trial has a value."""
        best = self.study.best()
        if best is None:
            failures = self._failures()
            if failures and len(self.space) == 0:
                raise TunefulError(f"the training {failures[-1]}", "try a lower learning rate, such as lr=1e-4")
            raised = f"; {len(failures)} trials failed, the last of them: {failures[-1]}" if failures else ""
            raise BudgetError(f"the budget of {self.clock.budget} ended before any trial had a value{raised}",
                              "give a longer budget, or a smaller model")  # fmt: skip
        return best, self._whole(best).candidate()

    def _whole(self, best: Trial) -> Run:
        """The run of a trial as the study knows it; trained anew, to the same bits, when its state is damaged or gone."""
        path = self.study.trial_folder(best.number) / STATE
        try:
            return Run.resume(self.task, path, model=self.model, device=self.device)
        except StateError:
            self.halt.deadline = math.inf  # a result that was promised is worth its time
            run = self._run(best, path, self.epochs)
            for _ in run:
                if run.epoch >= _epoch(best) * (1 - 1e-6):
                    break
            run.save(path)
            return run


def _goal(trial: Trial) -> float:
    """How many epochs it was last asked to reach."""
    return float(trial.tags["until"])


def _reached(trial: Trial, epochs: float) -> bool:
    return _epoch(trial) >= epochs * (1 - 1e-6)


def _epoch(trial: Trial) -> float:
    return trial.last.epoch if trial.last else 0.0


def _pace(trial: Trial) -> float:
    """Seconds that an epoch of this trial takes."""
    return trial.last.seconds / max(trial.last.epoch, 1e-9) if trial.last else 0.0


def _write_curve(path: Path, curve: list[Point]) -> None:
    path.write_text("".join(json.dumps(point.as_data()) + "\n" for point in curve), encoding="utf-8")


__all__ = ["Beat", "Search"]
