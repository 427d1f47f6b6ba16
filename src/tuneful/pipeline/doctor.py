"""Doctor: the first few hundred steps of a run under watch, and what is wrong with it in sentences.

    report = examine(task, recipe)                          # of a recipe: a run that is thrown away
    watch = doctor(network, optimizer)                      # of a loop of your own: see `pipeline.watch`

Of a recipe everything can be measured: the loss can be taken again on the same batch, so the sharpness is known, and the time that
batches take is told apart from that of the steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.core.errors import TunefulError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.early import Early
from tuneful.pipeline.step import augmented, frozen_statistics
from tuneful.pipeline.train import Run
from tuneful.pipeline.watch import EVERY, STEPS, Watch
from tuneful.techniques.symptoms import TABLE, Complaint, Seen


@dataclass(frozen=True)
class Diagnosis:
    """What came of an examination. ended: why the run was over before its time, "" where it was not; seconds: what it cost."""

    complaints: tuple[Complaint, ...]
    steps: int
    looks: int
    seconds: float
    ended: str = ""
    seen: Seen = field(default_factory=Seen, compare=False)

    def __str__(self) -> str:
        told = [str(one) for one in self.complaints]
        if self.ended:
            told.append(f"the run ended: {self.ended}")
        return "\n".join(
            told or [f"nothing is wrong in the first {self.steps} steps ({self.looks} looks, {len(TABLE)} checks)"]
        )


def doctor(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    steps: int = STEPS,
    every: int = EVERY,
    loss: Callable[[], Tensor] | None = None,
) -> Watch:
    """A watch over the first steps of a loop of your own: call its `step(loss)` after each step of the optimizer, and print it.

    Args:
        steps: how long it watches; every: steps between two looks.
        loss:  draws a batch and gives its loss; with it the sharpness is measured, which costs about 60 gradients in all.

    Raises: TunefulError when steps or every are too small for a look.
    Cost:   waits for the device once a step; a look costs about a step.
    """
    if steps < 1 or every < 1:
        raise TunefulError(f"a watch needs steps and looks; steps={steps}, every={every}", "such as steps=300, every=15")
    return Watch(network, optimizer, steps=steps, every=every, loss=loss)


def examine(task: Task, recipe: Recipe, *, steps: int = STEPS, device: str | None = None) -> Diagnosis:
    """Train a recipe for so many steps under watch, and say what is wrong. The run is thrown away; a recipe of fewer steps is trained
    to its end. Raises what training raises."""
    began = time.monotonic()
    run = Run(task, resolve(recipe, task).replace(alarm="tell"), device=device)
    length = min(steps, run.steps)
    run.early = watch = Early(
        run.body, run.optimizer, run.plan, length,
        symptoms=[make() for make in TABLE.values()], every=max(1, min(EVERY, length // 20)), loss=lambda: _again(run), clocked=True,
    )  # fmt: skip
    run.advance(length)
    watch.close()
    ended = "" if run.ended.startswith("all ") else run.ended
    return Diagnosis(watch.complaints, len(watch.seen.losses), watch.seen.looks, time.monotonic() - began, ended, watch.seen)


def _again(run: Run) -> Tensor:
    """The loss of the batch that the run is at, as it trains on it; batch norms remember nothing of it."""
    plan: Any = run.plan
    x, y = run.batches.at(run.step)
    with torch.no_grad():
        x, target = augmented(x, y, run.task, plan, run.step, run.network.front)
    with frozen_statistics(run.body):
        z = run.body(x)
    times = max(1, len(z) // max(1, len(target)))
    wanted = target.repeat_interleave(times, dim=0) if times > 1 else target
    return plan.loss.total(z.float(), wanted, run.prepared) / (plan.loss.weight(target, run.prepared) * times)
