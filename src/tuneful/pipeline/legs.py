"""A leg: a trial at work in this process until it has so many epochs, and what is written down of it.

leg = legs.begun(trial)              # its run, as it was left, or new; planned, where it is new
for point in leg.run: leg.told(point) ...
leg.end()                            # saved; and the study knows that it waits, has ended or has failed
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneful.core.budget import Clock
from tuneful.core.errors import ModelError, StateError
from tuneful.core.recipe import Recipe
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.core.trial import Point, Trial
from tuneful.pipeline import costing, files, plans, state
from tuneful.pipeline.carrying import able
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.deciding import FORK, SEED, STATE, goal
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.distribute import Led
from tuneful.pipeline.growing import grown
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.plan import SHARE, Plan
from tuneful.pipeline.plans import Plans
from tuneful.pipeline.ranks import ALONE, Ranks
from tuneful.pipeline.train import Run
from tuneful.techniques.models import with_callable

SPENT_EVERY = 2.0  # seconds between two notes of the time spent, so much may be lost count of by a kill


@dataclass
class Leg:
    """trial: as it was claimed; run: of it; path: of its state."""

    legs: Legs
    trial: Trial
    run: Run
    path: Path
    refused: str = ""  # the limit that its network breaks
    before: float = (
        0.0  # seconds that its run had taken when the leg began, those of the trial that it is a copy of included
    )

    @property
    def until(self) -> float:
        """How many epochs it is to reach."""
        return goal(self.trial)

    @property
    def there(self) -> bool:
        """Has it come so far, with more to come another time?"""
        run = self.run
        far = bool(run.curve) and run.curve[-1].epoch >= self.until * (1 - 1e-6)
        return far and run.step < run.steps and not run.ended

    @property
    def lost(self) -> bool:
        """Has it come to nothing?"""
        return self.run.ended.startswith(("diverged", "failed"))

    def told(self, point: Point) -> None:
        """A point of it was made."""
        self.legs.study.report(self.trial.number, point)
        self.legs.tick()

    def end(self) -> None:
        """Save what it is, and let the study know how it stands. Nothing where another process has taken it up meanwhile."""
        study, run, number = self.legs.study, self.run, self.trial.number
        cost = sum(run.seconds.values())
        self.legs.trained += cost - self.before
        if not self.lost and not self.refused:
            run.save(self.path, durable=bool(run.ended))  # whoever ran it, it has come to the same
            if study.depot is not None:
                study.depot.put(number, run.step, self.path)
        with study.turn():
            if not study.mine(self.trial):
                return
            if self.refused:
                study.tell(number, "stopped", self.refused, cost)
            elif self.lost:
                study.tell(number, "failed", run.ended, cost)
                self.path.unlink(missing_ok=True)
            elif run.ended:
                study.tell(number, "done", run.ended, cost)
                _write_curve(self.path.parent / "curve.jsonl", run.curve)
            else:
                study.pause(number, cost)


@dataclass
class Legs:
    """What all legs of a search need: the study, the data, the clock, and what a `Run` is given."""

    study: Study
    task: Task
    clock: Clock
    halt: Halt
    device: str | None = None
    model: Any = None
    plans: Plans = field(default_factory=Plans)
    ranks: Ranks = ALONE
    notes_spent: bool = True  # is it for this process to note the time that was spent?
    trained: float = 0.0  # seconds of legs that have ended

    @property
    def kind(self) -> type[Run]:
        """What runs are: led where other processes follow."""
        return Led if self.ranks.world > 1 else Run

    def path(self, number: int) -> Path:
        """Where the state of a trial lies."""
        return self.study.trial_folder(number) / STATE

    def begun(self, trial: Trial) -> Leg:
        """The leg of a trial that was claimed. Raises RecipeError and ModelError where there is no network."""
        path = self.path(trial.number)
        leg = Leg(self, trial, self.run(trial, path, goal(trial)), path)
        leg.before = sum(leg.run.seconds.values())
        if (wanted := costing.names(self.task)) and "costs" not in trial.tags:
            costs = costing.measured(leg.run, wanted)
            self.study.note(trial.number, "costs", {name: cost.as_data() for name, cost in costs.items()})
            leg.trial = self.study.trial(trial.number)
            leg.refused = costing.broken(self.task, costs)
        for point in leg.run.curve[
            len(trial.curve) :
        ]:  # a study that was lost and is made again learns what its trials know
            self.study.report(trial.number, point)
        return leg

    def run(self, trial: Trial, path: Path, until: float) -> Run:
        """The run of a trial: as it was left, or new, where there is no state of it or it is damaged."""
        recipe = from_data(trial.recipe)
        if self.model is not None:
            recipe = recipe.replace(model=with_callable(recipe.model, self.model))
        damage, born, seeded = "", trial.tags.get("parent"), trial.tags.get("grown")
        self.fetch(trial.number)
        if born and not path.exists():
            return self._copy(trial, recipe, self.study.trial_folder(int(born["replaces"])) / FORK, path)
        if path.exists():
            try:
                run = self.kind.resume(
                    self.task, path, model=self.model, device=self.device, halt=self.halt, save_to=path, ranks=self.ranks
                )
                if run.recipe.id == resolve(recipe, self.task).id:
                    return run
                if born:  # that of the trial of which it is a copy, from another machine
                    return self._copy(trial, recipe, path, path)
                damage = f"the state {path} belongs to another recipe"
            except StateError as error:
                # It costs time but no result: made anew, the trial takes the same course.
                damage = error.message
        run = self.kind(self.task, recipe, device=self.device, halt=self.halt, save_to=path, ranks=self.ranks)
        if seeded:  # on another machine its parent's state has come in the place of its own
            source = path.with_name(SEED) if path.with_name(SEED).exists() else path
            run, damage = grown(run, self.task, recipe, source, number=int(seeded["number"]), model=self.model), ""
        if damage:
            run.notes.append(f"{damage}; trial {trial.number} is trained anew")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._plan(run, path.parent, until)
        self._headed(trial, run, path)
        return run

    def _copy(self, trial: Trial, recipe: Recipe, source: Path, path: Path) -> Run:
        """The run of a trial that goes on from the state of another one. Raises ModelError where that is lost, or does not fit."""
        born = trial.tags["parent"]
        run = self.kind(self.task, recipe, device=self.device, halt=self.halt, save_to=path, ranks=self.ranks)
        try:
            tensors, plain = state.load(source)
            run.put(tensors, {**plain, "ended": ""}, f"the state of trial {born['number']}")
        except StateError as error:
            raise ModelError(f"it is a copy of trial {born['number']}, whose state is lost: {error.message}") from error
        self._headed(trial, run, path)
        return run

    def _headed(self, trial: Trial, run: Run, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        heading = f"trial {trial.number} of {self.study.name}: {trial.because}"
        (path.parent / "recipe.toml").write_text(files.write(run.recipe, heading=heading), encoding="utf-8")

    def fetch(self, number: int) -> None:
        """Bring the newest state of a trial to this machine, where another has one."""
        if self.study.depot is not None:
            path = self.path(number)
            self.study.depot.get(number, path, state.step(path))

    def tick(self) -> None:
        """Note the time that was spent, now and then."""
        if self.notes_spent and self.clock.spent > float(self.study.about.get("spent", 0.0)) + SPENT_EVERY:
            self.study.remember("spent", self.clock.spent)

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
                + (", with its share of the weights" if self.ranks.shard else "")
            )
            return
        most = SHARE * (self.clock.budget.seconds or math.inf) - self.plans.spent
        found = self.plans.of(run, steps=until * run.batches.per_epoch, most=max(0.0, most))
        plans.written(folder, found)
        if found.gain > 1:
            run.notes.append(f"trial {folder.name}: steps are carried out as {found.chosen}")


def _write_curve(path: Path, curve: Sequence[Point]) -> None:
    path.write_text("".join(json.dumps(point.as_data()) + "\n" for point in curve), encoding="utf-8")


__all__ = ["STATE", "Leg", "Legs"]
