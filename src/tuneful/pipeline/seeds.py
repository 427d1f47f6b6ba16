"""The final runs of a comparison: the seeds of one optimizer, side by side in a stack where that pays, else one after the other.

What decides is how much work a step is, never a clock, so that the same comparison trains in the same way on every day; a stack gives
what each run gives alone, to rounding. Curves and answers to the test examples are kept, weights are not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tuneful.core.config import Settings
from tuneful.core.errors import StateError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Split, Task
from tuneful.pipeline import judge
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.goals import form
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.outcome import Final
from tuneful.pipeline.stack import Stack, unfit
from tuneful.pipeline.train import Run
from tuneful.techniques.models import make
from tuneful.techniques.models.check import size

SMALL = 1 << 22  # multiply-adds of a step's forward pass up to which a stack was at least 1.3 times as fast, see LOG.md
STATE = "state.safetensors"


def pays(task: Task, recipe: Recipe) -> bool:
    """Are runs of this recipe, with seeds of their own, faster side by side?"""
    if unfit(task, recipe):
        return False
    plan = resolve(recipe, task)
    ends = form(task)
    with torch.device("meta"):
        work = size(make(plan.model, ends), ends).multiply_adds  # type: ignore[arg-type]
    return work * int(plan.batch_size) <= SMALL


@dataclass
class Seeds:
    """Runs to be done. places: where each keeps what came of it; split: the opened test split."""

    task: Task
    recipes: Sequence[Recipe]
    places: Sequence[Path]
    split: Split
    halt: Halt
    device: str | None = None
    model: Settings | None = None

    def walk(self) -> Iterator[float]:
        """Train them, and say now and then how many are done. Asked to stop, they are saved, and the next call goes on from there."""
        runs = [self._begun(recipe, place) for recipe, place in zip(self.recipes, self.places, strict=True)]
        if len(runs) == 1:
            for _ in runs[0].walk():
                yield runs[0].step / max(1, runs[0].steps)
        else:
            stack = Stack(self.task, device=self.device, halt=self.halt, model=self.model, width=len(runs))
            numbers = [stack.join(run) for run in runs]
            for _ in stack.walk():
                yield sum(run.step / max(1, run.steps) for run in runs)
            for number in numbers:
                stack.evict(number)
        for run, place in zip(runs, self.places, strict=True):
            if self.halt.requested and not run.ended:
                run.save(place / STATE)
            else:
                self._keep(run, place)

    def _begun(self, recipe: Recipe, place: Path) -> Run:
        place.mkdir(parents=True, exist_ok=True)
        state = place / STATE
        with contextlib.suppress(StateError):
            if state.exists():
                return Run.resume(self.task, state, model=self.model, device=self.device, halt=self.halt, save_to=state)
        return Run(self.task, recipe, device=self.device, halt=self.halt, save_to=state)

    def _keep(self, run: Run, place: Path) -> None:
        answers = None
        if not run.ended.startswith(("diverged", "failed")):
            answers = judge.predict(run.candidate().network, self.split.x, kind=self.task.kind)
            answers = answers if np.isfinite(answers).all() else None
        Final(tuple(run.curve), dict(run.seconds), run.step, run.ended, answers, len(self.recipes)).write(place)
        (place / STATE).unlink(missing_ok=True)


__all__ = ["Seeds", "pays"]
