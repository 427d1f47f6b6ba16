"""Learning-rate range test: between which rates does this network learn at all, and which of three is best?

    found = rate_range(task, recipe)                        # of a recipe
    found = own_rate_range(network, optimizer, loss)        # of a loop of your own; both are put back afterwards
    print(found)

1. The rate rises from step to step by equal factors, from far too low to far too high, until the loss runs away.
       smooth = bias-corrected mean of the losses with memory 0.9
       low:   where it has fallen by a tenth of all that it falls;          high:  where it is lowest
2. From the same beginning, three short trainings at constant rates: high / 10, high / 3 and high. The one that ends with the
   lowest loss is confirmed. If it is the first or the last, the rates beyond may be better, which is said.

The test sees the first steps only: a rate that is good there may be too high later, and a schedule falls from it.

Source: Smith, WACV 2017, section 3.3, arXiv:1506.01186; the confirmation is ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.probing import of_loop, of_recipe

MEMORY = 0.9  # of the smoothed loss
RUNAWAY = 4.0  # times the range so far above the lowest: the sweep is over
BEGUN = 0.1  # share of the whole fall at which learning has begun
SHARES = (0.1, 1 / 3, 1.0)  # of the high end that are confirmed


@dataclass(frozen=True)
class RateRange:
    """low, high: the bracket; best: which of the three rates was confirmed; curve: (rate, smoothed loss) of the sweep; tried:
    (rate, loss at the end) of the three trainings, nan where one ran away."""

    low: float
    high: float
    best: float
    curve: tuple[tuple[float, float], ...]
    tried: tuple[tuple[float, float], ...]

    def __str__(self) -> str:
        told = ", ".join(f"{rate:.2g} ends at {loss:.3g}" for rate, loss in self.tried)
        edge = ""
        if self.best == self.tried[0][0]:
            edge = "; lower ones were not tried"
        elif self.best == self.tried[-1][0]:
            edge = "; higher ones were not tried"
        return f"rates from {self.low:.2g} to {self.high:.2g} learn; of three, {self.best:.2g} is best ({told}){edge}"


def rate_range(
    task: Task,
    recipe: Recipe,
    *,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 120,
    confirm: int = 60,
    device: str | None = None,
) -> RateRange:
    """The range of the optimizer's lr for a recipe, from four short runs of it that are thrown away. Costs steps + 3 * confirm
    steps at most. Raises RecipeError where the loss falls at no rate, and what training raises."""
    first, own = of_recipe(task, recipe, device)
    base: Any = resolve(recipe, task).optimizer

    def begin() -> Callable[[float], float]:
        step = first()
        return lambda rate: step([lr * rate / base.lr for lr in own])

    return _found(begin, low, high, steps, confirm)


def own_rate_range(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[], Tensor],
    *,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 120,
    confirm: int = 60,
) -> RateRange:
    """The range of lr for a loop of your own. loss: draws a batch and gives its loss, once for every step.

    Network, optimizer and torch's CPU generator are as before afterwards, whatever happens; the data that `loss` has drawn are
    gone. All groups have the same rate meanwhile. Raises RecipeError where the loss falls at no rate.
    """
    with of_loop(network, optimizer, loss) as first:

        def begin() -> Callable[[float], float]:
            step = first()
            return lambda rate: step([rate] * len(optimizer.param_groups))

        return _found(begin, low, high, steps, confirm)


def _found(begin: Callable[[], Callable[[float], float]], low: float, high: float, steps: int, confirm: int) -> RateRange:
    """begin: makes the loop as it is at first, and gives what does a step at a rate and returns its loss before the step."""
    if not 0 < low < high or steps < 10 or confirm < 4:
        raise RecipeError(f"a range test goes from a low rate to a high one, in 10 steps or more; low={low:g} high={high:g}")
    curve = _sweep(begin(), [low * (high / low) ** (k / (steps - 1)) for k in range(steps)])
    if not curve:
        raise RecipeError(
            "the loss is not a finite number at the first step", "are there values in the data that are not numbers?"
        )
    first, lowest = curve[0][1], min(curve, key=lambda one: one[1])
    fall = first - lowest[1]
    if not fall > 1e-6 * abs(first):  # less than that is rounding
        raise RecipeError(
            f"the loss falls at no rate from {low:g} to {high:g}; it begins at {first:.4g}",
            "are the labels right, and the loss?",
        )
    bottom = next(rate for rate, loss in curve if loss <= first - BEGUN * fall)
    tried: list[tuple[float, float]] = []
    for share in SHARES:
        step, rate = begin(), lowest[0] * share
        losses = [step(rate) for _ in range(confirm)]
        end = losses[-max(1, confirm // 4) :]
        tried.append((rate, sum(end) / len(end)))
    finite = [one for one in tried if math.isfinite(one[1])]
    best = min(finite, key=lambda one: one[1])[0] if finite else tried[0][0]
    return RateRange(min(bottom, tried[0][0]), lowest[0], best, tuple(curve), tuple(tried))


def _sweep(step: Callable[[float], float], rates: Sequence[float]) -> list[tuple[float, float]]:
    """(rate, smoothed loss before the step at that rate), until the loss runs away."""
    curve: list[tuple[float, float]] = []
    mean, top, bottom = 0.0, -math.inf, math.inf
    for k, rate in enumerate(rates, 1):
        loss = step(rate)
        if not math.isfinite(loss):
            break
        mean = MEMORY * mean + (1.0 - MEMORY) * loss
        smooth = mean / (1.0 - MEMORY**k)
        if k > 10 and smooth > bottom + RUNAWAY * max(top - bottom, 1e-12):
            break
        curve.append((rate, smooth))
        bottom = min(bottom, smooth)
        top = max(top, smooth) if k <= 10 or top == -math.inf else top
    return curve


__all__ = ["RateRange", "own_rate_range", "rate_range"]
