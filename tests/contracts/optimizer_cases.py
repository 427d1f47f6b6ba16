"""What the contracts of the optimizers share: settings to try, small problems, and ways to walk down them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.techniques.interfaces import Optimizer
from tuneful.techniques.optimizers import (
    ASAM,
    GD,
    LAMB,
    LARS,
    LBFGS,
    SAM,
    SGD,
    SOAP,
    TABLE,
    AdaBound,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AMSBound,
    AMSGrad,
    Lion,
    Lookahead,
    Momentum,
    Muon,
    NAdam,
    NAdamW,
    Nesterov,
    Prodigy,
    RAdam,
    RMSprop,
    RuleOptimizer,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)  # fmt: skip

REFERENCE = json.loads((Path(__file__).parent / "reference_steps.json").read_text())
BOUND = {"lr": 0.05, "beta2": 0.5, "final_lr": 0.002, "gamma": 0.3}  # a band that clips within ten steps

# Every figure of others, and what of ours must give it.
RIGHT: dict[str, Optimizer] = {
    "gd": GD(lr=1e-3),
    "sgd": SGD(lr=1e-3),
    "sgd_decay": SGD(lr=1e-3, decay=0.1),
    "momentum": Momentum(lr=1e-3),
    "momentum_by_hand": Momentum(lr=1e-3),
    "nesterov": Nesterov(lr=1e-3),
    "nesterov_flag": Momentum(lr=1e-3, nesterov=True),
    "adagrad": Adagrad(lr=0.1),
    "adagrad_decays": Adagrad(lr=0.1, lr_decay=0.05, initial=0.1, decay=0.01),
    "adadelta": Adadelta(),
    "rmsprop": RMSprop(),
    "rmsprop_centred": RMSprop(momentum=0.9, centred=True),
    "adam": Adam(lr=0.05),
    "adam_by_hand": Adam(lr=0.05),
    "adam_decay": Adam(lr=0.05, decay=0.1),
    "amsgrad": AMSGrad(lr=0.05, beta2=0.5),
    "adabound": AdaBound(),
    "adabound_bounds_bind": AdaBound(**BOUND),
    "adabound_by_hand": AdaBound(**BOUND),
    "amsbound": AMSBound(**BOUND),
    "adamw": AdamW(lr=0.05, decay=0.1),
    "adamw_by_hand": AdamW(lr=0.05, decay=0.1),
    "adamw_cautious": AdamW(lr=0.05, decay=0.1, cautious=True),
    "nadam": NAdam(lr=0.05),
    "nadamw": NAdamW(lr=0.05, decay=0.1),
    "radam": RAdam(lr=1e-3),
    "adamax": Adamax(lr=0.05),
    "adafactor": Adafactor(lr=0.05),
    "lion": Lion(lr=0.01, decay=0.1),
    "lion_cautious": Lion(lr=0.01, decay=0.1, cautious=True),
    "lamb": LAMB(lr=0.01, decay=0.01),
    "lars": LARS(lr=0.1, decay=0.01),
    "muon": Muon(lr=0.02, decay=0.1),
    "muon_bf16": Muon(lr=0.02, decay=0.1, bf16=True),
    "muon_match_rms": Muon(lr=0.02, decay=0.1, bf16=True, match_rms=True),
    "schedule_free_sgd": ScheduleFreeSGD(lr=1e-3, decay=0.1),
    "schedule_free_adamw": ScheduleFreeAdamW(lr=0.05, decay=0.1),
    "prodigy": Prodigy(),
    "sam": SAM(lr=1e-3),
    "asam": ASAM(lr=1e-3, rho=0.1),
    "lbfgs": LBFGS(),
}
SAME_AS = {"sgd": "gd", "nesterov_flag": "nesterov"}  # figures that serve twice
ROUGH = {
    "muon_bf16": 5e-3,
    "muon_match_rms": 5e-3,
    "lbfgs": 1e-10,
}  # bfloat16 has three digits, a line search magnifies rounding
WARMED = {"schedule_free_adamw": 4}  # the reference's own linear warm-up; ours is the schedule's
WRONG: dict[str, Optimizer] = {
    "adam_without_bias_correction": Adam(lr=0.05),
    "adamw_as_coupled_l2": AdamW(lr=0.05, decay=0.1),
    "momentum_as_ema": Momentum(lr=1e-3),
    "rmsprop_eps_inside": RMSprop(),
}

# One entry a rule and a variant of it, with no setting at its default where that could hide a mistake.
VARIED: dict[str, Optimizer] = {
    "gd": GD(lr=0.03, decay=0.02),
    "sgd": SGD(lr=0.03, decay=0.02),
    "momentum": Momentum(lr=0.02, momentum=0.8, decay=0.02),
    "momentum_nesterov": Momentum(lr=0.02, momentum=0.7, nesterov=True, decay=0.01),
    "nesterov": Nesterov(lr=0.02, momentum=0.7, decay=0.01),
    "adagrad": Adagrad(lr=0.02, lr_decay=0.1, initial=0.1, decay=0.03),
    "adadelta": Adadelta(lr=0.5, rho=0.8, eps=1e-4, decay=0.02),
    "rmsprop": RMSprop(lr=0.02, beta=0.8, decay=0.02),
    "rmsprop_centred": RMSprop(lr=0.01, beta=0.8, momentum=0.5, centred=True, eps=1e-3, decay=0.02),
    "adam": Adam(lr=0.02, beta1=0.8, beta2=0.95, eps=1e-6, decay=0.03),
    "amsgrad": AMSGrad(lr=0.02, beta1=0.8, beta2=0.5, eps=1e-6, decay=0.03),
    "adabound": AdaBound(lr=0.02, final_lr=0.01, gamma=0.2, beta1=0.8, beta2=0.9, decay=0.03),
    "amsbound": AMSBound(lr=0.02, final_lr=0.01, gamma=0.2, beta1=0.8, beta2=0.5, decay=0.03),
    "adamw": AdamW(lr=0.02, beta1=0.8, beta2=0.95, eps=1e-6, decay=0.3),
    "adamw_cautious": AdamW(lr=0.02, beta1=0.8, beta2=0.95, decay=0.3, cautious=True),
    "nadam": NAdam(lr=0.02, beta1=0.8, beta2=0.95, psi=0.1, decay=0.03),
    "nadamw": NAdamW(lr=0.02, beta1=0.8, beta2=0.95, decay=0.3),
    "radam": RAdam(lr=0.02, beta1=0.8, beta2=0.95, decay=0.03),
    "adamax": Adamax(lr=0.02, beta1=0.8, beta2=0.9, decay=0.03),
    "adafactor": Adafactor(lr=0.1, clip=0.5, decay=0.1),
    "lion": Lion(lr=0.003, beta1=0.8, beta2=0.9, decay=0.3),
    "lion_cautious": Lion(lr=0.003, beta1=0.8, beta2=0.9, decay=0.3, cautious=True),
    "lamb": LAMB(lr=0.02, beta1=0.8, beta2=0.95, decay=0.1),
    "lars": LARS(lr=0.5, momentum=0.8, trust=0.05, decay=0.1),
    "muon": Muon(lr=0.02, momentum=0.8, decay=0.1, adam_lr=0.01),
    "muon_match_rms": Muon(lr=0.02, momentum=0.8, nesterov=False, match_rms=True, decay=0.1),
    "soap": SOAP(lr=0.02, beta1=0.8, beta2=0.9, every=3, decay=0.1),
    "soap_one_side": SOAP(lr=0.02, beta1=0.8, beta2=0.9, every=2, largest=3),
    "schedule_free_sgd": ScheduleFreeSGD(lr=0.05, momentum=0.8, decay=0.02),
    "schedule_free_adamw": ScheduleFreeAdamW(lr=0.02, beta1=0.8, beta2=0.95, decay=0.1),
    "prodigy": Prodigy(d0=1e-4, growth=1.5, decay=0.02),
    "sam": SAM(lr=0.02, momentum=0.8, decay=0.02),
    "sam_adamw": SAM(lr=0.02, inner="adamw", decay=0.1),
    "asam": ASAM(lr=0.02, momentum=0.8),
    "lookahead": Lookahead(lr=0.02, momentum=0.8, every=2, decay=0.02),
    "lookahead_adamw": Lookahead(lr=0.02, inner="adamw", every=3, pace=0.8, decay=0.1),
    "lbfgs": LBFGS(iterations=2),
}
SINGLE = [name for name, settings in VARIED.items() if settings.kind != "lbfgs"]  # those whose parameters move one by one
STACKED = [name for name, settings in VARIED.items() if not settings.stackable]

Build = Callable[[Optimizer, Any], torch.optim.Optimizer]


def as_rule(settings: Optimizer, params: Any) -> torch.optim.Optimizer:
    """The rule in its shell, where build() gives torch's class."""
    built = settings.build(params)
    return built if isinstance(built, RuleOptimizer) or settings.kind == "lbfgs" else RuleOptimizer(params, settings)


BUILDS: dict[str, Build] = {"built": lambda s, params: s.build(params), "rule": as_rule}
assert {settings.kind for settings in VARIED.values()} == set(TABLE) - {"lowbit_adamw"}


def loss_of(problem: str, x: Tensor, problems: dict[str, Any] = REFERENCE["problems"]) -> Tensor:
    """The loss of a problem of the reference set at x."""
    if problem == "quad2":
        A, b = (torch.tensor(problems[problem][k], dtype=torch.float64) for k in ("A", "b"))
        return 0.5 * x @ A @ x - b @ x
    if problem == "quadmat4x3":
        M, W = (torch.tensor(problems[problem][k], dtype=torch.float64) for k in ("M", "Wstar"))
        return 0.5 * (M @ (x - W)).square().sum()
    z = x.flatten()
    return (100 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2).sum()


def step(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> None:
    """One step as any loop may take it, with a closure that serves every optimizer."""

    def closure() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value.item()

    optimizer.step(closure)


def walk(
    build: Callable[[Any], torch.optim.Optimizer], problem: str, steps: int = 10, warmed: int = 0, problems: Any = None
) -> Tensor:
    """The parameters after 0, 1, ... steps, in float64; `warmed` steps rise to the rate."""
    problems = problems or REFERENCE["problems"]
    x = nn.Parameter(torch.tensor(problems[problem]["x0"], dtype=torch.float64))
    optimizer, seen = build([x]), [x.detach().clone()]
    rate = optimizer.param_groups[0]["lr"]
    for t in range(1, steps + 1):
        optimizer.param_groups[0]["lr"] = rate * min(1.0, t / warmed if warmed else 1.0)
        step(optimizer, lambda: loss_of(problem, x, problems))
        seen.append(x.detach().clone())
    return torch.stack(seen)


class Odd(nn.Module):
    """Weights of 4, 2, 1 and 0 axes, channels-last at choice, and one that has no gradient in the first two steps."""

    def __init__(self, dtype: torch.dtype = torch.float32, channels_last: bool = False) -> None:
        super().__init__()
        dice = torch.Generator().manual_seed(7)
        window = torch.randn(3, 2, 3, 3, generator=dice, dtype=dtype)
        self.window = nn.Parameter(window.to(memory_format=torch.channels_last) if channels_last else window)
        self.matrix = nn.Parameter(torch.randn(3, 4, generator=dice, dtype=dtype))
        self.bias = nn.Parameter(torch.randn(4, generator=dice, dtype=dtype))
        self.scale = nn.Parameter(torch.tensor(1.5, dtype=dtype))
        self.late = nn.Parameter(torch.randn(4, generator=dice, dtype=dtype))

    def loss(self, t: int) -> Tensor:
        x = torch.randn(8, 2, 5, 5, generator=torch.Generator().manual_seed(t), dtype=torch.float64).to(self.bias.dtype)
        y = nn.functional.conv2d(x, self.window).mean((2, 3)) @ self.matrix + self.bias
        y = torch.tanh(y * self.scale)
        return ((y * self.late if t > 2 else y) - 0.3).square().mean()

    def step(self, optimizer: torch.optim.Optimizer, t: int) -> None:
        step(optimizer, lambda: self.loss(t))

    def values(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.parameters()]


def entries(optimizer: torch.optim.Optimizer) -> Iterable[tuple[Any, str, Any]]:
    """All of an optimizer's state, flat: (parameter's number, name, value)."""
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            yield index, name, value
