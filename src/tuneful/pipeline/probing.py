"""Short trainings that leave nothing behind: from one beginning, again and again, at rates that the prober writes.

begin = of_recipe(task, recipe)                         # of a recipe
with of_loop(network, optimizer, loss) as begin: ...    # of a loop; both are put back afterwards, whatever happens
step = begin();  loss = step([1e-3])                    # one step at a rate for each group; the loss before it
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor, nn

from tuneful.core.recipe import SIDES, Recipe
from tuneful.core.task import Task
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.train import Run
from tuneful.techniques.schedules import Constant

Step = Callable[[Sequence[float]], float]
Begin = Callable[[], Step]


def of_recipe(task: Task, recipe: Recipe, device: str | None = None) -> tuple[Begin, list[float]]:
    """(begin, the rates of its groups as the recipe has them). Schedules are left out: the prober is the schedule."""
    plain = resolve(recipe, task).replace({"schedule": Constant(), **dict.fromkeys(SIDES, "none"), "batch_to": 0})
    plain = plain.replace(momentum_to=0.0, decay_to=0.0, alarm="tell")
    first = Run(task, plain, device=device)
    waiting = [first]

    def begin() -> Step:
        run = waiting.pop() if waiting else Run(task, plain, device=device)
        run.early.steps = 0

        def step(rates: Sequence[float]) -> float:
            for group, lr in zip(run.optimizer.param_groups, rates, strict=True):
                group["initial_lr"] = lr
            return run.advance(1)

        return step

    return begin, [float(group["initial_lr"]) for group in first.optimizer.param_groups]


@contextlib.contextmanager
def of_loop(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> Generator[Begin]:
    """Network, optimizer and torch's CPU generator are as before afterwards, whatever happens; the data that `loss` has drawn are
    gone."""
    weights, state = copy.deepcopy(network.state_dict()), copy.deepcopy(optimizer.state_dict())
    chance, training = torch.get_rng_state(), network.training

    def restore() -> None:
        network.load_state_dict(weights)
        optimizer.load_state_dict(copy.deepcopy(state))
        optimizer.zero_grad(set_to_none=True)
        torch.set_rng_state(chance)

    def begin() -> Step:
        restore()
        network.train()

        def step(rates: Sequence[float]) -> float:
            for group, lr in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = lr
            optimizer.zero_grad(set_to_none=True)
            value = loss()
            value.backward()
            optimizer.step()
            return float(value.detach())

        return step

    try:
        yield begin
    finally:
        restore()
        network.train(training)


__all__ = ["Begin", "Step", "of_loop", "of_recipe"]
