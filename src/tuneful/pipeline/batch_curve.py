"""Batch-size finder: how many examples a second each batch size gets through, and how much memory it takes.

    found = batch_curve(task, recipe)
    print(found)

Sizes are doubled until the training split, the memory or the patience ends. Below the knee a step costs nearly the same however
many examples it has; from the knee on, larger batches only make fewer steps of the same time. Whether larger batches also need
fewer epochs is another question: see `noise_scale`.

Memory is what one step keeps for its backward pass, counted tensor by tensor, so that it is known on a CPU as well; weights,
gradients and the optimizer's state, which do not depend on the batch, come on top.
"""

from __future__ import annotations

from dataclasses import dataclass

from tuneful.core.errors import RecipeError
from tuneful.core.measure import Measure, t_interval
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.keeping import kept_bytes
from tuneful.pipeline.train import Run

WARM = 2  # steps before the clock starts: the first are slow
TIMES = 5  # timings of each size
KNEE = 0.9  # share of the best throughput that is enough


@dataclass(frozen=True)
class Load:
    """One batch size. speed: examples a second; kept: bytes that a step keeps for its backward pass."""

    size: int
    speed: Measure
    kept: int


@dataclass(frozen=True)
class BatchCurve:
    """loads: from small to large; knee: the smallest size with nine tenths of the best speed; ended: why larger were not tried."""

    loads: tuple[Load, ...]
    knee: int
    ended: str

    def __str__(self) -> str:
        told = ", ".join(f"{one.size}: {one.speed.value:.3g}/s ({one.kept / 1e6:.3g} MB)" for one in self.loads)
        return f"{self.knee} examples a step use this machine; examples a second by batch size: {told}; {self.ended}"


def batch_curve(
    task: Task,
    recipe: Recipe,
    *,
    first: int = 8,
    limit: float = float("inf"),
    seconds: float = 1.0,
    device: str | None = None,
) -> BatchCurve:
    """The curve for a recipe, whatever its own batch size. Every run is thrown away.

    first: the smallest size; limit: bytes that a step may keep; seconds: about the time for one size. Sizes end where the split
    ends, where memory runs out or the limit is reached, and where a size is slower by a tenth than one before it.

    Raises RecipeError when the first size is too large already, and what training raises.
    """
    fixed = resolve(recipe, task).replace({"batch_schedule": "none", "batch_to": 0})
    loads: list[Load] = []
    size, ended = min(first, len(task.train)), "that is the whole training split"
    while True:
        found = _load(task, fixed.replace(batch_size=size), seconds, device)
        if found is None or found.kept > limit:
            ended = f"memory ends before {size}"
            break
        loads.append(found)
        if found.speed.value < KNEE * max(one.speed.value for one in loads):
            ended = "larger ones are slower"
            break
        if size >= len(task.train):
            break
        size = min(2 * size, len(task.train))
    if not loads:
        raise RecipeError(f"memory ends before the first batch size, {size}", "begin with a smaller one, first=1")
    best = max(one.speed.value for one in loads)
    return BatchCurve(tuple(loads), next(one.size for one in loads if one.speed.value >= KNEE * best), ended)


def _load(task: Task, recipe: Recipe, seconds: float, device: str | None) -> Load | None:
    """One size measured; None when memory ran out, which shows in micro-batches or in the end of the run."""
    run = Run(task, recipe, device=device)
    with kept_bytes(run.network) as kept:
        run.timed(1, 0.0)
    run.timed(WARM - 1, 0.0)
    times = [run.timed(1, seconds / (TIMES + 1)) for _ in range(TIMES)]
    if run.micro > 1 or run.ended.startswith("failed"):
        return None
    speed = t_interval([int(recipe.batch_size) / one for one in times], unit="examples/s")
    return Load(int(recipe.batch_size), speed, kept())
