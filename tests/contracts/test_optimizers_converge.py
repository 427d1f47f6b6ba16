"""Every optimizer arrives where the answer is known, with a rate that suits the problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from optimizer_cases import REFERENCE, loss_of, step
from torch import Tensor, nn

from tuneful.techniques.optimizers import TABLE

RATES = {  # what each needs to arrive in 800 steps, where its default is made for other sizes
    "gd": 0.1, "sgd": 0.1, "momentum": 0.01, "nesterov": 0.01, "adagrad": 1.0, "adadelta": 50.0, "lion": 0.01, "lars": 0.01,
    "lamb": 0.02, "adafactor": 0.5, "prodigy": 1.0, "sam": 0.01, "asam": 0.01, "lbfgs": 1.0, "schedule_free_sgd": 0.3,
    "schedule_free_adamw": 0.1, "lookahead": 0.02,
}  # fmt: skip


Problem = Callable[[], tuple[list[nn.Parameter], Callable[[], Tensor]]]


def falling(kind: str, make: Problem, steps: int, scale: float) -> tuple[list[Tensor], float]:
    """Walk down with a rate that falls to zero (schedule-free ones: constant), and give parameters and loss at the end."""
    params, loss = make()
    fields = {"lr": RATES.get(kind, 0.05) * (scale if kind not in ("lbfgs", "prodigy") else 1.0)}
    fields |= {"decay": 0.0} if "decay" in TABLE[kind].model_fields else {}
    fields |= {"adam_lr": fields["lr"]} if kind == "muon" else {}
    fields |= {"final_lr": fields["lr"]} if kind.endswith("bound") else {}
    settings = TABLE[kind](**fields)
    optimizer: Any = settings.build(params)
    rate = optimizer.param_groups[0]["lr"]
    for t in range(steps):
        if not settings.averages and kind != "lbfgs":
            optimizer.param_groups[0]["lr"] = rate * (1 - t / steps)
        step(optimizer, loss)
    if settings.averages:
        optimizer.eval()
    return [p.detach() for p in params], loss().item()


def arrives(kind: str, make: Problem, steps: int, good: Callable[[list[Tensor], float], bool]) -> bool:
    """Does it get there with its usual rate here, or with one that is smaller or larger?"""
    return any(good(*falling(kind, make, steps, scale)) for scale in (1.0, 0.2, 5.0, 0.02, 30.0))


LEARNING = [kind for kind in TABLE if kind != "lowbit_adamw"]


@pytest.mark.parametrize("kind", LEARNING)
def test_comes_near_the_minimum_of_a_parabola(kind: str):
    def problem():
        x = nn.Parameter(torch.tensor(REFERENCE["problems"]["quad2"]["x0"], dtype=torch.float64))
        return [x], lambda: loss_of("quad2", x)

    best = torch.tensor(REFERENCE["problems"]["quad2"]["minimum"], dtype=torch.float64)
    assert arrives(kind, problem, 400, lambda xs, _: bool((xs[0] - best).abs().max() < 0.02))


@pytest.mark.parametrize(
    "kind", [kind for kind in LEARNING if kind != "prodigy"]
)  # its rate comes from the steep first slope
def test_comes_down_into_rosenbrocks_valley(kind: str):
    def problem():
        x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
        return [x], lambda: loss_of("rosenbrock2", x)

    assert arrives(kind, problem, 500, lambda _, loss: loss < 4.1)  # from 24.2; where the valley is met, 4.1


@pytest.mark.parametrize("kind", LEARNING)
def test_solves_a_matrix_problem(kind: str):
    def problem():
        dice = torch.Generator().manual_seed(0)
        A = torch.eye(5, dtype=torch.float64) + 0.2 * torch.randn(5, 5, generator=dice, dtype=torch.float64)
        goal = torch.randn(5, 3, generator=dice, dtype=torch.float64)
        W = nn.Parameter(0.1 * torch.randn(5, 3, generator=dice, dtype=torch.float64))
        return [W], lambda: (A @ (W - goal)).square().mean()

    assert arrives(kind, problem, 400, lambda _, loss: loss < 1e-3)  # from about 1


@pytest.mark.parametrize("kind", LEARNING)
def test_fits_a_logistic_regression(kind: str):
    def problem():
        dice = torch.Generator().manual_seed(1)
        x = torch.randn(200, 4, generator=dice, dtype=torch.float64)
        y = (x @ torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64) + 0.3 > 0).long()
        net = nn.Linear(4, 2, dtype=torch.float64)
        nn.init.normal_(net.weight, std=0.1, generator=dice)
        nn.init.zeros_(net.bias)
        return list(net.parameters()), lambda: nn.functional.cross_entropy(net(x), y)

    assert arrives(kind, problem, 100, lambda _, loss: loss < 0.25)  # from about log 2 = 0.69
