"""What members of a stack are told around their steps: what their schedules say, and their losses."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from tuneful.pipeline.stack.stepping import Stepping
from tuneful.pipeline.steps import LOOK
from tuneful.pipeline.train import Run
from tuneful.techniques.interfaces import Schedule


def kin(runs: Sequence[Run]) -> list[int]:
    """For each run the first of them that has its schedule and its length, so that one answer serves both."""
    found: list[int] = []
    for run in runs:
        schedule: Schedule = run.plan.schedule
        alike = (
            at
            for at, other in enumerate(runs)
            if other.steps == run.steps and (other.plan.schedule is schedule or other.plan.schedule == schedule)
        )
        found.append(next(alike))
    return found


def put_(runs: Sequence[Run], kin: Sequence[int]) -> None:
    """Write what moves with the steps, before a step of each. kin: of these runs, see there; one schedule at one step is asked once."""
    known: dict[tuple[int, int], float] = {}
    for run, first in zip(runs, kin, strict=True):
        step = run.step
        factor = known.get((first, step))
        if factor is None:
            known[first, step] = factor = run.plan.schedule.factor(step, run.steps)
        run.course.take_(factor, step, run.steps)


class Losses:
    """Losses of steps that are done and counted. Members and their watch hear of them together, before the next look: up to
    then it does not matter when."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, int, Tensor]] = []  # rows begin .. end, and their losses of a step

    def add(self, begin: int, end: int, each: Tensor) -> None:
        """A step of members begin .. end is done; whatever there was to look at in it is noted."""
        self.waiting.append((begin, end, each))

    def tell(self, members: Sequence[Run]) -> None:
        """members: all, in the order of the rows. All but the last of these steps are such as the watch does not look at."""
        if not self.waiting:
            return
        heard: list[list[float]] = [[] for _ in members]
        for (begin, _), several in itertools.groupby(self.waiting, key=lambda one: one[:2]):
            for at, losses in enumerate(torch.stack([each for _, _, each in several], dim=1).tolist(), begin):
                heard[at] += losses
        self.waiting.clear()
        for run, losses in zip(members, heard, strict=True):
            if losses:
                run.noted(losses)
            if losses and not run.early.over:
                run.early.passed(losses[:-1])
                run.ended = run.early.heard(losses[-1], None, run.notes, looked=True) or run.ended


def due_now(run: Run) -> bool:
    """Is a point of this run due?"""
    due = run.batches.due(run.step, float(run.recipe.validate_every)) or run.step == run.steps
    return due and not run.ended


def quiet(run: Run) -> int:
    """How many steps until a point of this run is due, it is looked at, or it may end."""
    period = max(1, round(float(run.recipe.validate_every) * run.batches.per_epoch))
    waits = [period - run.step % period, LOOK - run.step % LOOK, run.steps - run.step]
    if not run.early.over:
        waits.append(run.early.wait)  # 0: one step, by itself
    return max(1, min(waits))


def clock_of(run: Run) -> Callable[[], float]:
    """The clock that measures steps of a run: of one thread its own, which what else is at work on the machine does not move; of a
    GPU one that waits until it has done what it was given."""
    if run.device.type == "cuda":
        return partial(_waited, run.device)
    return time.thread_time if run.execution.threads == 1 else time.perf_counter


def _waited(device: torch.device) -> float:
    torch.cuda.synchronize(device)
    return time.perf_counter()


def restrain_(runs: Sequence[Run], grads: Mapping[str, Tensor]) -> None:
    """Penalties, limits and noises of each member on its rows of the gradients. grads: by name, [K, ...]."""
    for at, run in enumerate(runs):
        for name, p in run.body.named_parameters():
            p.grad = grads[name][at] if name in grads else None
        run.hooks.restrain_(run.params, run.memories, run.step)
        for p in run.params:
            p.grad = None


def saved(runs: Sequence[Run], stepping: Stepping) -> None:
    """Write the states of members that have a file for them and have waited long enough."""
    written = False
    for run in runs:
        if run.save_to is not None and run.waits_to_be_saved and not run.ended:
            if not written:
                stepping.write()
                written = True
            run.save(run.save_to)
