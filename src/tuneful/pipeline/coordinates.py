"""Coordinate check: do the layers of this network change alike at every width, in its first steps?

    found = coordinate_check(task, recipe, "model.width", (64, 128, 256, 512, 1024))
    found.level                     # may a rate that was found at one of these widths be used at another?

At each width the network trains a few steps at the recipe's constant rate; for each layer

    d(w) = mean |x_t - x_0|         its outputs after t steps less before, on the first batch, mean over seeds;  ln d = a + slope ln w

In maximal update parametrization every d is level over widths (slope 0). In standard parametrization some grow as a power of the width:
there the best rate falls when the network grows. The slope over the three widest decides, since narrow networks bend it, and the check looks
beyond the widths that are asked for where these are small or near to one another. One between LEVEL's ends passes.

Source: Yang et al. 2022, arXiv:2203.03466, appendix D.1 and figure 5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from tuneful.core.recipe import SIDES, Recipe
from tuneful.core.task import Task
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.train import Run
from tuneful.techniques.interfaces import Attention
from tuneful.techniques.schedules import Constant

STEPS = 5
SEEDS = 3
MOST = 5  # widths
BEYOND = 512  # the check looks up to this width, where sixteen times the small one is as wide
LEVEL = (
    -0.6,
    0.42,
)  # powers of the width that count as level: muP gave -0.47 to 0.34, standard ones go up to 0.54 to 1.2 (LOG.md)
WIDEST = 3  # of the widths say how it goes on: the narrow ones bend, also in muP
NOTHING = 1e-12  # a layer that changes by less than this does not learn at any width


@dataclass(frozen=True)
class Coordinates:
    """widths, from the narrowest; changes: {layer: d at each width}, inf where the network gave no numbers; slopes: {layer: power of the
    width}; seconds: of one step at the widest."""

    widths: tuple[int, ...]
    changes: Mapping[str, tuple[float, ...]]
    slopes: Mapping[str, float]
    seconds: float

    @property
    def worst(self) -> str:
        """The layer that is farthest outside, or nearest to an end."""
        return max(self.slopes, key=lambda name: max(self.slopes[name] - LEVEL[1], LEVEL[0] - self.slopes[name]))

    @property
    def level(self) -> bool:
        """Do all layers pass?"""
        return all(LEVEL[0] <= slope <= LEVEL[1] for slope in self.slopes.values())

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        slopes = {name: slope if math.isfinite(slope) else None for name, slope in self.slopes.items()}
        changes = {n: [v if math.isfinite(v) else None for v in values] for n, values in self.changes.items()}
        return asdict(self) | {"slopes": slopes, "changes": changes, "level": self.level, "said": str(self)}

    def __str__(self) -> str:
        name = self.worst
        what = f"layer {name}" if name else "the network"
        values = ", ".join(f"{value:.2g}" for value in self.changes[name])
        over = f"over the widths {', '.join(map(str, self.widths))}"
        wide = f"over the {min(WIDEST, len(self.widths))} widest"
        if self.level:
            low, high = min(self.slopes.values()), max(self.slopes.values())
            return (
                f"{over} the outputs of all {len(self.slopes)} layers change alike in {STEPS} steps: {wide} as powers of "
                f"the width from {low:.2f} to {high:.2f} ({what}: {values})"
            )
        power = f"width^{self.slopes[name]:.2f}" if math.isfinite(self.slopes[name]) else "beyond all numbers"
        return (
            f"{over} the outputs of {what} change in {STEPS} steps by {values}: {wide} as {power}, where "
            f"width^{LEVEL[0]:g} to width^{LEVEL[1]:g} counts as level"
        )


def between(small: int, full: int) -> tuple[int, ...]:
    """Widths of the check, from the small one to the full one or beyond: multiples of the small one (which heads divide as they divide it)."""
    far = max(full, min(16 * small, max(BEYOND, 4 * small)))
    count = min(MOST, max(2, math.ceil(math.log2(far / small)) + 1))
    steps = [small * round((far / small) ** (k / (count - 1))) for k in range(count)]
    found = sorted({*steps, full, far})
    if len(found) > MOST and full not in steps:
        found.remove(min(steps[1:-1], key=lambda one: abs(math.log(one / full))))
    return tuple(found)


def coordinate_check(
    task: Task, recipe: Recipe, dial: str, widths: Sequence[int], *, device: str | None = None, seeds: int = SEEDS
) -> Coordinates:
    """The check of a recipe, whose setting `dial` is the width. Costs 5 steps at each width and seed.

    Raises ModelError and RecipeError where a network of one of the widths cannot be made or trained.
    """
    plain = resolve(recipe, task).replace({"schedule": Constant(), **dict.fromkeys(SIDES, "none"), "batch_to": 0})
    plain = plain.replace(momentum_to=0.0, decay_to=0.0, alarm="tell")
    found: dict[str, list[float]] = {}
    seconds = 0.0
    for width in widths:
        told: dict[str, list[float]] = {}
        for seed in range(seeds):
            run = Run(task, plain.replace({dial: width, "seed": int(plain.seed) + seed}), device=device)
            for name, change in _changes(run).items():
                told.setdefault(name, []).append(change)
            seconds = sum(run.seconds.values()) or seconds
        for name, changes in told.items():
            found.setdefault(name, []).append(float(np.mean(changes)))
    same = {name: tuple(changes) for name, changes in found.items() if len(changes) == len(widths)}
    learning = {name: changes for name, changes in same.items() if max(changes) > NOTHING}
    return Coordinates(tuple(widths), learning, {name: _slope(widths, one) for name, one in learning.items()}, seconds)


def _changes(run: Run) -> dict[str, float]:
    """By how much the outputs of each layer, and of the whole network (""), change on the first batch."""
    run.early.steps = 0
    x = run.batches.ready(0, run.network.front)[0]
    before = _outputs(run.body, x)
    lost = any(math.isnan(run.advance(1)) for _ in range(STEPS))
    after = _outputs(run.body, x)
    changes = {name: float((after[name] - one).abs().mean()) for name, one in before.items() if name in after}
    return {name: math.inf if lost or not math.isfinite(value) else value for name, value in changes.items()}


def _outputs(body: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What each layer with weights gives for a batch; of one that is called again, the first time."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor) and first.is_floating_point():
                found.setdefault(name, first.detach().clone())

        return hook

    was = {module: module.training for module in body.modules()}
    body.eval()
    for module in body.modules():
        if isinstance(module, _NormBase):
            module.train()  # its running statistics say nothing yet
    hooks = [
        module.register_forward_hook(keep(name)) for name, module in body.named_modules() if not name or _weighted(module)
    ]
    try:
        with torch.enable_grad():  # torch's own Transformer would take a short way past its layers else
            body(x)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in was.items():
            module.training = training
    return found


def _weighted(module: nn.Module) -> bool:
    """Is it a layer that learns a matrix, or attention as a whole?"""
    own = any(p.ndim > 1 for p in module.parameters(recurse=False))
    return own or isinstance(module, Attention)


def _slope(widths: Sequence[int], changes: Sequence[float]) -> float:
    """The power of the width over the widest, by least squares of the logarithms; inf where there are no numbers."""
    if not all(math.isfinite(change) for change in changes):
        return math.inf
    changes = changes[-WIDEST:]
    place = np.log(np.asarray(widths[-WIDEST:], dtype=float))
    place -= place.mean()
    return float(place @ np.log(np.maximum(np.asarray(changes), NOTHING)) / (place @ place))


__all__ = ["Coordinates", "between", "coordinate_check"]
