"""Warm-up probe: how long must the rate rise before this run can bear it?

    found = warmup_probe(task, recipe)                      # of a recipe, at its rate
    found = own_warmup_probe(network, optimizer, loss)      # of a loop of your own; both are put back afterwards
    print(found)

From the same beginning and over the same batches, trainings of N steps that differ in their linear warm-up alone: none, N/32, N/16,
N/8, N/4 and N/2 steps, then the rate as it is. e_w is the mean loss of the last quarter of the training with warm-up w:

    enough(w):  e_w <= min e + max(2 se, 0.05 (first loss - min e)),   and no loss that is not finite

se is the standard error of the difference to the best of them, batch by batch, as both saw the same batches. The answer is a bracket:
from the longest warm-up that is not enough below the shortest one that is, to that one. A long warm-up has fewer steps at the full
rate, which the margin of 5 % allows for. A rate at which no warm-up lets the training learn is told as such, and so is one at which a
longer warm-up than the one that is enough fails again: there chance has a say.

Source: the method is ours. That it is the first steps which a high rate cannot bear: Goyal et al. 2017, section 2.2, arXiv:1706.02677;
Liu et al., EMNLP 2020, arXiv:2004.08249 (Transformers with norms behind the sum); Gilmer et al., ICLR 2022, arXiv:2110.04369.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.probing import Begin, of_loop, of_recipe

PARTS = (0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the steps, that are tried as warm-ups
MARGIN = 0.05  # of all that the loss falls: as good as the best
WIDE = 2.0  # standard errors
AGAIN = 0.25  # of all that the loss falls, above the best: failed again, and not only slower
LEAST = 0.02  # of the first loss: a fall below it is no learning


@dataclass(frozen=True)
class WarmUp:
    """low, high: the bracket in steps: `low` is not enough, `high` is; both 0 where none is needed, high is inf where the longest one
    tried is not enough. tried: (warm-up, mean loss at the end), inf where it ran away; steps: of each training; first: the loss
    before the first step."""

    low: int
    high: float
    tried: tuple[tuple[int, float], ...]
    steps: int
    first: float

    @property
    def doubtful(self) -> tuple[int, ...]:
        """Warm-ups longer than the one that is enough, with which the training failed again."""
        best = min(loss for _, loss in self.tried)
        return tuple(w for w, loss in self.tried if w > self.high and not loss - best <= AGAIN * (self.first - best))

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"high": self.high if math.isfinite(self.high) else None, "said": str(self)}

    def __str__(self) -> str:
        told = ", ".join(f"{w} ends at {loss:.3g}" for w, loss in self.tried)
        if math.isinf(self.high):
            return f"no warm-up of up to {self.tried[-1][0]} steps lets this rate learn ({told}; began at {self.first:.3g}): lower it"
        again = (
            f"; {', '.join(map(str, self.doubtful))} failed again, so chance has a say: a lower rate is safer"
            if self.doubtful
            else ""
        )
        if self.high == 0:
            return f"no warm-up is needed at this rate ({told}){again}"
        return f"a warm-up of {self.low} to {self.high:.0f} steps is needed at this rate; warmup={self.high:.0f} is enough ({told}){again}"


def warmup_probe(task: Task, recipe: Recipe, *, steps: int = 192, device: str | None = None) -> WarmUp:
    """The warm-up that a recipe needs at its rate, from six short trainings of `steps` steps that are thrown away.

    Its own schedule and warm-up are left out. Raises RecipeError for fewer than 64 steps, and what training raises.
    """
    begin, rates = of_recipe(task, recipe, device)
    return _found(begin, rates, steps)


def own_warmup_probe(
    network: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor], *, steps: int = 192
) -> WarmUp:
    """The warm-up that a loop of your own needs, at the rates that the optimizer's groups have. loss: draws a batch by torch's CPU
    generator and gives its loss, once for every step; the draws are the same in each training.

    Network, optimizer and generator are as before afterwards, whatever happens. Raises RecipeError for fewer than 64 steps.
    """
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    with of_loop(network, optimizer, loss) as begin:
        return _found(begin, rates, steps)


def _found(begin: Begin, rates: Sequence[float], steps: int) -> WarmUp:
    if steps < 64:
        raise RecipeError(f"a warm-up probe needs trainings of 64 steps or more; steps={steps}")
    lengths = [round(part * steps) for part in PARTS]
    curves = [_curve(begin, rates, length, steps) for length in lengths]
    last = steps // 4
    ends = [sum(curve[-last:]) / last if len(curve) == steps else math.inf for curve in curves]
    first = next((curve[0] for curve in curves if curve), math.nan)
    if not math.isfinite(first):
        raise RecipeError(
            "the loss is not a finite number at the first step", "are there values in the data that are not numbers?"
        )
    best = min(range(len(ends)), key=lambda at: ends[at])
    tried = tuple(zip(lengths, ends, strict=True))
    if not first - ends[best] > LEAST * abs(first):
        return WarmUp(lengths[-1], math.inf, tried, steps, first)
    enough = next(at for at in range(len(ends)) if _as_good(curves[at], curves[best], last, first))
    return WarmUp(lengths[enough - 1] if enough else 0, float(lengths[enough]), tried, steps, first)


def _curve(begin: Begin, rates: Sequence[float], length: int, steps: int) -> list[float]:
    """Losses before each step, until one is not finite."""
    step, losses = begin(), list[float]()
    for at in range(steps):
        loss = step([rate * min(1.0, (at + 1) / (length + 1)) for rate in rates])
        if not math.isfinite(loss):
            break
        losses.append(loss)
    return losses


def _as_good(curve: Sequence[float], best: Sequence[float], last: int, first: float) -> bool:
    if len(curve) < len(best):
        return False
    apart = [a - b for a, b in zip(curve[-last:], best[-last:], strict=True)]
    mean = sum(apart) / last
    error = math.sqrt(sum((one - mean) ** 2 for one in apart) / (last - 1) / last)
    return mean <= max(WIDE * error, MARGIN * (first - sum(best[-last:]) / last))


__all__ = ["WarmUp", "own_warmup_probe", "warmup_probe"]
