"""The chosen recipe once more, on train and valid together: what valid was kept for is done, and more examples make a better network.

    refit = Refit(joining, left=...)
    for beat in refit: ...
    if refit.done: trial, candidate = refit.candidate()

It has as many steps as were found best, with the same seed, rates and averages; as there are more examples, these are fewer epochs. Nothing
stops it early, since no example is left to tell when. An ensemble's members are all trained so, and keep their weights. What is then
said of valid would be said of examples that were learned, so the evidence holds what the network trained on train alone had said there; the
test split alone measures the new one.

Source: Cawley & Talbot, JMLR 11 (2010), 2079-2107 (selection first, then the final fit on all that is not test).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tuneful.core.budget import Clock, span
from tuneful.core.errors import ModelError, RecipeError, StateError
from tuneful.core.measure import Measure
from tuneful.core.recipe import Recipe
from tuneful.core.task import Split, Task
from tuneful.core.trial import Trial
from tuneful.pipeline import judge
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.confirm import Confirmation
from tuneful.pipeline.job import Job
from tuneful.pipeline.joining import Joining, Origin
from tuneful.pipeline.lazy import joined
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.prove import measured_of
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import STATE, Beat, Search
from tuneful.techniques.regularizers import EarlyStopping

BOTH = "train+valid"
FOLDER = "final"
SHARE = 0.15  # of the time for searching that is kept for it
SLACK = 1.15  # a training may take so much longer than it did
BEAT = 0.25  # seconds between two signs of life


class Refit:
    """joining: settled; left: seconds of the clock for it; halt, device: as for `Run`. why: what kept it from being done; "" where nothing."""

    def __init__(
        self, joining: Joining, *, left: float = math.inf, halt: Halt | None = None, device: str | None = None
    ) -> None:
        self.joining, self.left, self.device = joining, left, device
        self.halt = halt if halt is not None else Halt()
        self.task, self.study = joining.task, joining.study
        self.done, self.why = False, ""
        self.steps: list[int] = []
        self._runs: list[Run] = []

    def __iter__(self) -> Iterator[Beat]:
        self.why = unfit(self.task, self.joining.verdict)
        if self.why:
            return
        origins = self.joining.origins()
        if heirs := [one.trial.number for one in origins if one.trial.heir]:
            self.why = f"trial {heirs[0]} began with the weights of another one, and its recipe alone trains another network"
            return
        if not all((self._place(one) / "done").exists() for one in origins):
            wait = need(self.task, sum(_seconds(one) for one in origins))
            if wait > self.left:
                self.why = f"it takes about {span(round(wait, 1))}, and {span(round(max(0.0, self.left), 1))} were left"
                return
        wide = together(self.task)
        self.halt.deadline = math.inf  # what was begun with time enough is worth its end
        for one in origins:
            yield from self._again(one, wide)
            if self.halt.requested:
                return
        self.done = True

    def candidate(self) -> tuple[Trial, Candidate]:
        """The network that was trained on both."""
        origins = self.joining.origins()
        found = [run.candidate() for run in self._runs]
        trial, made = self.joining.made([(one.trial, new) for one, new in zip(origins, found, strict=True)])
        recipe = origins[0].run.recipe  # as it was found: whoever trains it on one split gets what was proven there
        return trial, replace(made, recipe=recipe, value=None, notes=(*made.notes, self.sentence))

    @property
    def seen(self) -> Task:
        """The task as the network has seen it, so that baselines learn from as many examples."""
        return together(self.task) if self.done else self.task

    @property
    def sentence(self) -> str:
        """What was done, and what it means."""
        n, steps = len(self.task.train) + len(self.task.valid), " and ".join(f"{one:,}" for one in self.steps)
        return (
            f"Trained anew on train and valid together, {n:,} examples, for the {steps} steps that were found best. Valid is no longer "
            f"independent: what stands for it is of the network before, trained on train alone; the test split alone measures this one, and the "
            f"baselines, which learned from both too."
        )

    def told(self, before: Candidate) -> dict[str, Any]:
        """What is added to the evidence. before: the candidate that was trained on train alone."""
        if not self.done:
            return {
                "final": {"on": "train", "why": self.why, "sentence": f"Not trained anew on train and valid: {self.why}."}
            }
        answers = judge.predict(before.network, self.task.valid.x, kind=self.task.kind)
        valid = {name: one.as_data() for name, one in measured_of(self.task, answers, self.task.valid.y).items()}
        examples = len(self.task.train) + len(self.task.valid)
        return {
            "valid": valid,
            "task": self.task.summary(),
            "final": {"on": BOTH, "examples": examples, "steps": self.steps, "sentence": self.sentence},
        }

    # ------------------------------------------------------------------------------------------------ training

    def _place(self, one: Origin) -> Path:
        return self.study.folder / FOLDER / f"{one.trial.number:04d}-{one.number:02d}-{one.run.recipe.id}"

    def _again(self, one: Origin, wide: Task) -> Iterator[Beat]:
        place, best = self._place(one), best_step(one.run)
        place.mkdir(parents=True, exist_ok=True)
        recipe = longer(self.task, wide, one.run)
        run = None
        if (place / STATE).exists():
            try:
                run = Run.resume(
                    wide,
                    place / STATE,
                    model=self.joining.search.legs.model,
                    device=self.device,
                    halt=self.halt,
                    save_to=place / STATE,
                )
            except StateError:
                run = None
        run = run or Run(wide, recipe, device=self.device, halt=self.halt, save_to=place / STATE,
                         execution=one.run.execution)  # fmt: skip
        best = min(best, run.steps)
        if run.step < best:
            beaten = time.monotonic()
            for point in run.walk(0.0):  # after every step, since the last one may lie between two validations
                if point is not None or time.monotonic() - beaten > BEAT:
                    beaten = time.monotonic()
                    yield Beat(
                        one.trial.number, run.epoch, best / run.batches.per_epoch, point, _value(one.run), len(self.study)
                    )
                if run.step >= best or run.ended:
                    break
        if self.halt.requested and run.step < best:
            run.save(place / STATE)
            return
        if run.ended.startswith(("diverged", "failed")):
            raise ModelError(
                f"the training on train and valid {run.ended}", "leave --final out; the network before is sound"
            )
        run.save(place / STATE)
        (place / "done").touch()
        self._runs.append(run)
        self.steps.append(run.step)


def together(task: Task) -> Task:
    """The task whose training split is train and valid. Raises DataError where both do not fit into memory as they lie."""
    train, valid = task.train, task.valid
    outside = train.outside
    if valid.outside is not None:
        outside = valid.outside if outside is None else np.concatenate([outside, valid.outside])
    both = Split(joined(train.x, valid.x), np.concatenate([train.y, valid.y]), outside)
    return replace(task, train=both, fingerprint=f"{task.fingerprint[:-5]}final")


def longer(task: Task, wide: Task, run: Run) -> Recipe:
    """The recipe of a run with as many steps on more examples, and nothing that stops it early."""
    kept = tuple(one for one in run.recipe.regularizers if not isinstance(one, EarlyStopping))
    size = min(int(run.recipe.batch_size), len(wide.train))
    fewer = run.batches.per_epoch / max(1, len(wide.train) // size)  # epochs for as many steps
    every = float(run.recipe.validate_every) * fewer
    return (
        run.recipe.replace("regularizers", kept)
        .replace("epochs", run.steps / run.batches.per_epoch * fewer)
        .replace("validate_every", every)
    )


def best_step(run: Run) -> int:
    """The step whose weights a run's candidate has."""
    if not run.best:
        return run.step
    objective, points = run.task.objective, run.curve
    values = [point.value.value for point in points]
    return next(p.step for p in points if not any(objective.better(v, p.value.value) for v in values))


def checked(job: Job, world: int) -> None:
    """Raises RecipeError where several processes share the trainings of a job that asks for a final one."""
    if job.how.final == BOTH and world > 1:
        raise RecipeError(
            f"final is {BOTH}, which trains in one process, and {world} share this training",
            "leave --final or --devices out",
        )


def taken(again: Confirmation, search: Search, evidence: Mapping[str, Any]) -> tuple[Trial, Candidate]:
    """What a finished run took, by its evidence: what was trained on both, where that was done."""
    again.verdict = dict(evidence.get("confirmation", {}))
    joining = Joining(again, search)
    joining.verdict = dict(evidence.get("joined", {}))
    if evidence.get("final", {}).get("on") != BOTH:
        return joining.candidate()
    refit = Refit(joining)
    for _ in refit:
        pass
    return refit.candidate()


def kept(clock: Clock, alone: bool) -> float:
    """Seconds to keep back while nothing is known of how long a training takes. alone: is it the second one of two?"""
    return 0.0 if clock.budget.seconds is None else (0.5 if alone else SHARE) * max(0.0, clock.left_for_search)


def need(task: Task, seconds: float) -> float:
    """Seconds that it takes where a training on train took so many."""
    return SLACK * seconds * (1 + len(task.valid) / len(task.train))


def unfit(task: Task, verdict: Any) -> str:
    """Why a training on both splits cannot be, or ""."""
    if task.kind == "openset":
        return "from where an open set abstains is chosen on valid, which must be independent for that"
    if verdict.get("kind") == "soup":
        return "whose weights a soup takes the mean of was chosen on valid, and does not hold for other networks"
    return ""


def _seconds(one: Origin) -> float:
    return sum(one.run.seconds.values())


def _value(run: Run) -> Measure | None:
    return run.curve[-1].value if run.curve else None


__all__ = ["BOTH", "Refit", "best_step", "kept", "longer", "need", "together", "unfit"]
