"""Try recipes until the clock says stop: a search over a space, an iterator of beats.

    search = Search(study, task, recipe, space, clock)
    for beat in search: ...
    best = search.candidate()

A proposer says what to try, a scheduler which trial gets the next epochs (`deciding`); between its legs a trial is paused exactly
(`legs`), and legs that fit train side by side (`bench`). What a search has done is in the study and beside it on the disk: kill it at any
moment, make it again from the same study, and it goes on. Other processes may work on the same study (`workers`). Before the time for
searching ends, the best trial is brought to its full length.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tuneful.core.budget import Clock
from tuneful.core.errors import BudgetError, StateError, TunefulError
from tuneful.core.measure import Measure
from tuneful.core.outlook import Least
from tuneful.core.recipe import Recipe
from tuneful.core.space import Space
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.core.trial import Point, Trial
from tuneful.pipeline.bench import Bench
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.deciding import SEED, Deciding, epoch
from tuneful.pipeline.legs import STATE, Legs
from tuneful.pipeline.lessons import lessons
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.plans import Plans
from tuneful.pipeline.ranks import ALONE, Ranks
from tuneful.pipeline.train import Run
from tuneful.techniques.interfaces import Proposer, Scheduler
from tuneful.techniques.search import ASHA, Curves

SAME_FAILURES = 3  # first trials that may fail alike before the search gives up
KEPT = 5  # done trials whose weights are kept
PRESSED = 0.25  # seconds between two looks whether the best trial has to be finished
WAIT = 0.05  # seconds between two looks whether there is something to do, where others are at work


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
    own network, when it is not in a file; plans: where plans of execution are kept; ranks: the group that this process leads;
    stacked: may trials train side by side?; at_once, control, least: see `Deciding`; leads: is it this process that keeps the study's time, and not one
    of several that another leads? Iterating works; when it ends, `ended` says why.
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
        stacked: bool = True,
        at_once: int = 0,
        leads: bool = True,
        control: float = 0.0,
        least: Least | None = None,
    ) -> None:
        self.study, self.task, self.space, self.clock = study, task, space, clock
        self.halt = halt if halt is not None else Halt()
        self.deciding = Deciding(
            study,
            recipe,
            space,
            clock,
            proposer or Curves(),
            scheduler or ASHA(),
            at_once=at_once,
            control=control,
            least=least,
        )
        self.legs = Legs(study, task, clock, self.halt, device, model, plans if plans is not None else Plans(), ranks, leads)
        alone = not stacked or at_once > 0 or ranks.world > 1 or not len(space)
        self.bench = Bench(self.legs, self._failed, alone=alone)
        self.epochs = float(recipe.epochs)
        self.ended = ""
        self._asked = 0.0  # when it was last seen to whether the best trial has to be finished
        self._passed = 0.0  # seconds of this session in which legs were at work
        self._over: set[int] = set()  # trials that had ended when weights were last thrown away
        self._gone: set[int] = set()  # those of which the weights were

    def __iter__(self) -> Iterator[Beat]:
        try:
            yield from self._going()
        finally:
            self.study.flush()
            self.study.meeting.leave()  # whatever this process still runs may be taken up

    def _going(self) -> Iterator[Beat]:
        self.deciding.ended = ""
        self._tidy()
        self.halt.deadline = time.monotonic() + self.clock.left_for_search
        while not self.ended:
            if self.halt.requested:
                self.ended = "it was asked to stop"
                return
            self._take()
            if not len(self.bench):
                self._tidy()  # one that had come to its end before a kill has just been told of, without any work
                self.ended = self.deciding.ended
                if not self.ended:
                    time.sleep(WAIT)
                continue
            yield from self._work()
            self.study.remember("spent", self.clock.spent)

    def _take(self) -> None:
        """As many trials onto the bench as it has room for, and are to be had."""
        self.deciding.around = self._around()
        if len(self.bench) > 1 and self._pressed():
            return
        wanted = self.bench.room
        while wanted and not (self.halt.due and len(self.bench)):
            with self.study.turn():
                trial = self.deciding.claimed()
            if trial is None:
                return
            self.bench.take(trial)
            wanted = wanted - 1 or self.bench.room

    def _pressed(self) -> bool:
        """Is it high time to bring the best trial to its end? Then all others wait where they are, and it goes on alone."""
        now = time.monotonic()
        if now - self._asked < PRESSED or self.bench.last is not None:
            return False
        self._asked = now
        if not self.deciding.pressing(self.clock.left_for_search):
            return False
        self.bench.clear()
        with self.study.turn():
            trial = self.deciding.finisher()
        if trial is not None:
            self.bench.take(trial, last=True)
        return trial is not None

    def _work(self) -> Iterator[Beat]:
        began = time.monotonic()
        for number, at, point in self.bench.walk():
            best = self.study.best() if point is not None else None
            value = best.last.value if best and best.last else None
            yield Beat(number, at, self.epochs, point, value, len(self.study))
            if point is not None:
                self._passed, began = self._passed + time.monotonic() - began, time.monotonic()
                self._tidy()
                self._take()
        self._tidy()

    def _around(self) -> float:
        """Seconds that pass while a trial trains for one, alone: storing and showing take time, and in a stack its share was smaller."""
        trained = self.legs.trained
        return self.bench.gain * max(1.0, self._passed / trained if trained else 1.0)

    def _failed(self, trial: Trial, error: Exception) -> None:
        """The network of a trial cannot be made or run: it has failed, unless all do so alike."""
        reason = str(error).splitlines()[0]
        alike = [old == reason for old in self._failures()]
        if len(self.space) == 0 or (self.study.best() is None and len(alike) + 1 >= SAME_FAILURES and all(alike)):
            self.bench.clear()
            raise error  # the trial stays as it is: when the cause is mended, the same command takes it up again
        with self.study.turn():
            if self.study.mine(trial):
                seconds = self.study.trial(trial.number).curve[-1:]
                self.study.tell(trial.number, "failed", reason, sum(point.seconds for point in seconds))

    def _failures(self) -> list[str]:
        """Why trials failed, also those of earlier sessions."""
        return [trial.ended_because for trial in self.study.trials() if trial.state == "failed"]

    def _tidy(self) -> None:
        """Keep the weights of the best done trials only; what can still go on keeps its state."""
        trials = self.study.trials()
        over = {trial.number for trial in trials if trial.state in ("done", "failed")}
        if over <= self._over:
            return
        done = [trial for trial in trials if trial.state == "done" and trial.last is not None]
        sign = -1.0 if self.task.objective.direction == "max" else 1.0
        done.sort(key=lambda trial: sign * (trial.last.value.value if trial.last else math.nan))
        kept = {trial.number for trial in done[:KEPT]}
        for number in over - kept - self._gone:
            self.legs.path(number).unlink(missing_ok=True)
            self.legs.path(number).with_name(SEED).unlink(missing_ok=True)
            if self.study.depot is not None:
                self.study.depot.drop(number)
            self._gone.add(number)
        self._over = over

    # ------------------------------------------------------------------------------------------------ what came of it

    def told(self, best: Trial, command: str = "") -> dict[str, Any]:
        """What the search came to and teaches, as plain data. best: the trial that was taken; command: that of this search."""
        trials, smaller = self.study.trials(), self.task.objective.direction == "min"
        taught = lessons(trials, self.space, self.deciding.recipe, smaller, command)
        about = {"trials": len(trials), "ended": self.ended, "best": best.number, "because": best.because}
        return {**about, "space": self.space.as_data(), "lessons": taught}

    def candidate(self) -> tuple[Trial, Candidate]:
        """The best trial and its network. Raises BudgetError when no trial has a value."""
        best, run = self.chosen()
        return best, run.candidate()

    def chosen(self) -> tuple[Trial, Run]:
        """The best trial and its run. Raises BudgetError when no trial has a value."""
        best = self.study.best()
        if best is None:
            failures = self._failures()
            if failures and len(self.space) == 0:
                raise TunefulError(f"the training {failures[-1]}", "try a lower learning rate, such as lr=1e-4")
            raised = f"; {len(failures)} trials failed, the last of them: {failures[-1]}" if failures else ""
            raise BudgetError(f"the budget of {self.clock.budget} ended before any trial had a value{raised}",
                              "give a longer budget, or a smaller model")  # fmt: skip
        return best, self.whole(best)

    def whole(self, best: Trial) -> Run:
        """The run of a trial as the study knows it; trained anew, to the same bits, when its state is damaged or gone."""
        path = self.legs.path(best.number)
        self.legs.fetch(best.number)
        try:
            return Run.resume(self.task, path, model=self.legs.model, device=self.legs.device)
        except StateError:
            self.halt.deadline = math.inf  # a result that was promised is worth its time
            run = self.legs.run(best, path, self.epochs)
            for _ in run:
                if run.epoch >= epoch(best) * (1 - 1e-6):
                    break
            run.save(path)
            return run


__all__ = ["KEPT", "STATE", "Beat", "Search"]
