"""Gradient noise scale: how large a batch is worth its cost.

    B = tr(S) / |G|^2          G: the gradient over all data;  S: the covariance of the gradients of single examples

From the gradients g_1 ... g_k of k batches of b examples each, with g their mean (a batch of K = k b):

    |G|^2 = (K |g|^2 - b mean |g_i|^2) / (K - b)
    tr S  = (mean |g_i|^2 - |g|^2) / (1 / b - 1 / K)

Both are unbiased; their ratio is not quite, and is given with a jackknife interval over groups of batches. Far below B twice the
batch halves the steps needed; far above it buys nothing. It grows while a network learns, so it is a figure of a moment.

    found = recipe_noise_scale(task, recipe)            # of a recipe, after its first hundred steps
    found = noise_scale(network, loss, batch)           # of a network where it stands

Source: McCandlish et al. 2018, appendix A.1, arXiv:1812.06162.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tuneful.core.errors import RecipeError
from tuneful.core.measure import Measure, t_quantile
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.step import arithmetic, augmented
from tuneful.pipeline.train import Run

GROUPS = 8  # of batches, each left out once


def noise_scale(network: nn.Module, loss: Callable[[], Tensor], batch: int, batches: int = 64) -> Measure:
    """The simple noise scale of a network where it stands, in examples.

    loss: draws a batch of `batch` examples and gives their mean loss; called once a batch. batches: 16 or more. The network is not
    changed; its gradients are None afterwards. Memory: GROUPS gradients.

    The interval is infinite above where the noise hides the gradient: then take more batches. Raises RecipeError for few batches.
    """
    if batches < 2 * GROUPS or batch < 1:
        raise RecipeError(f"the noise scale needs {2 * GROUPS} batches or more; batches={batches}")
    params = [p for p in network.parameters() if p.requires_grad]
    sums: list[list[Tensor]] = []  # the sum of the gradients of each group
    squares, counts = [0.0] * GROUPS, [0] * GROUPS
    try:
        for k in range(batches):
            grads = torch.autograd.grad(loss(), params, allow_unused=True)
            parts = [torch.zeros_like(p) if g is None else g for p, g in zip(params, grads, strict=True)]
            place = k % GROUPS
            if k < GROUPS:
                sums.append(parts)
            else:
                for total, part in zip(sums[place], parts, strict=True):
                    total.add_(part)
            squares[place] += _square(parts)
            counts[place] += 1
    finally:
        network.zero_grad(set_to_none=True)
    whole = _ratio(sums, squares, counts, batch)
    less = [
        _ratio(
            [s for k, s in enumerate(sums) if k != out],
            [s for k, s in enumerate(squares) if k != out],
            [c for k, c in enumerate(counts) if k != out],
            batch,
        )
        for out in range(GROUPS)
    ]
    how = f"jackknife 95 % over {GROUPS} groups of {batches} batches of {batch}"
    if not math.isfinite(whole) or not all(math.isfinite(one) for one in less):
        return Measure(whole, 0.0, math.inf, batches, "examples", how + "; the gradient is lost in its noise")
    mean = sum(less) / GROUPS
    error = math.sqrt((GROUPS - 1) / GROUPS * sum((one - mean) ** 2 for one in less))
    width = t_quantile(GROUPS - 1, 0.95) * error
    return Measure(whole, max(0.0, whole - width), whole + width, batches, "examples", how)


def recipe_noise_scale(
    task: Task, recipe: Recipe, *, after: int = 100, batches: int = 64, device: str | None = None
) -> Measure:
    """The simple noise scale of a recipe after so many of its steps, in examples, with the batches that would come next.

    The run is thrown away. Costs `after` steps, then forward and backward of so many batches. Raises RecipeError where the run ends
    before, and what training raises.
    """
    run = Run(task, resolve(recipe, task).replace(alarm="tell"), device=device)
    run.early.steps = 0
    run.advance(min(after, run.steps - 1))
    if run.ended:
        raise RecipeError(f"the noise scale was to be taken after {after} steps, and the run ended: {run.ended}")
    plan, at = run.plan, iter(range(run.step, run.step + batches))

    def loss() -> Tensor:
        step = next(at)
        x, y = run.batches.at(step % run.steps)
        with torch.no_grad():
            x, target = augmented(x, y, task, plan, step, run.network.front)
        z = run.body(x)
        times = max(1, len(z) // max(1, len(target)))  # the members of an ensemble answer one by one
        wanted = target.repeat_interleave(times, dim=0) if times > 1 else target
        return plan.loss.total(z.float(), wanted, run.prepared) / (plan.loss.weight(target, run.prepared) * times)

    with arithmetic(int(plan.threads)):
        run.network.train()
        return noise_scale(run.body, loss, int(plan.batch_size), batches)


def _ratio(sums: list[list[Tensor]], squares: list[float], counts: list[int], batch: int) -> float:
    """tr S / |G|^2; infinite where |G|^2 is not seen."""
    k = sum(counts)
    mean = [torch.stack([group[at] for group in sums]).sum(0) / k for at in range(len(sums[0]))]
    small, large, examples = sum(squares) / k, _square(mean), k * batch
    signal = (examples * large - batch * small) / (examples - batch)
    noise = (small - large) / (1.0 / batch - 1.0 / examples)
    return noise / signal if signal > 0 else math.inf


def _square(parts: list[Tensor]) -> float:
    return sum(float(part.double().square().sum()) for part in parts)
