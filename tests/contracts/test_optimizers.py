"""Every optimizer: its formula against figures of others, its torch class against its rule, a stack against single runs,
and a resumed run against one that never stopped."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tuneful.core.config import comments
from tuneful.techniques.interfaces import Optimizer
from tuneful.techniques.optimizers import SGD, TABLE, AdaBound, Adam, AdamW, Momentum, RuleOptimizer, decay_groups

REFERENCE = json.loads((Path(__file__).parent / "reference_steps.json").read_text())
PROBLEMS = tuple(REFERENCE["problems"])
BOUND = AdaBound(lr=0.05, beta2=0.5, final_lr=0.002, gamma=0.3)  # a band that clips within ten steps
RIGHT = {
    "sgd": SGD(lr=1e-3),
    "sgd_decay": SGD(lr=1e-3, decay=0.1),
    "momentum": Momentum(lr=1e-3),
    "momentum_by_hand": Momentum(lr=1e-3),
    "nesterov": Momentum(lr=1e-3, nesterov=True),
    "adam": Adam(lr=0.05),
    "adam_by_hand": Adam(lr=0.05),
    "adam_decay": Adam(lr=0.05, decay=0.1),
    "adamw": AdamW(lr=0.05, decay=0.1),
    "adamw_by_hand": AdamW(lr=0.05, decay=0.1),
    "adabound": AdaBound(),
    "adabound_bounds_bind": BOUND,
    "adabound_by_hand": BOUND,
}
WRONG = {
    "adam_without_bias_correction": Adam(lr=0.05),
    "adamw_as_coupled_l2": AdamW(lr=0.05, decay=0.1),
    "momentum_as_ema": Momentum(lr=1e-3),
}
VARIED = {
    "sgd": SGD(lr=0.03, decay=0.02),
    "momentum": Momentum(lr=0.02, momentum=0.8, decay=0.02),
    "nesterov": Momentum(lr=0.02, momentum=0.7, nesterov=True, decay=0.01),
    "adam": Adam(lr=0.02, beta1=0.8, beta2=0.95, eps=1e-6, decay=0.03),
    "adamw": AdamW(lr=0.02, beta1=0.8, beta2=0.95, eps=1e-6, decay=0.3),
    "adabound": AdaBound(lr=0.02, final_lr=0.01, gamma=0.2, beta1=0.8, beta2=0.9, decay=0.03),
}
Build = Callable[[Optimizer, Any], torch.optim.Optimizer]
BUILDS: dict[str, Build] = {"built": lambda s, params: s.build(params), "rule": lambda s, params: RuleOptimizer(params, s)}


def loss_of(problem: str, x: Tensor) -> Tensor:
    if problem == "quad2":
        A, b = (torch.tensor(REFERENCE["problems"][problem][k], dtype=torch.float64) for k in ("A", "b"))
        return 0.5 * x @ A @ x - b @ x
    z = x.flatten()
    return (100 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2).sum()


def walk(build: Callable[[Any], torch.optim.Optimizer], problem: str, steps: int = 10) -> Tensor:
    """The parameters after 0, 1, ... steps, in float64."""
    x = nn.Parameter(torch.tensor(REFERENCE["problems"][problem]["x0"], dtype=torch.float64))
    optimizer, seen = build([x]), [x.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(problem, x).backward()
        optimizer.step()
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
        optimizer.zero_grad(set_to_none=True)
        self.loss(t).backward()
        optimizer.step()

    def values(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.parameters()]


@pytest.mark.parametrize("kind", TABLE)
def test_says_its_kind_source_and_cost_and_comments_each_field(kind: str):
    cls = TABLE[kind]
    assert cls.model_fields["kind"].default == kind
    assert cls.source
    assert cls.cost
    assert set(comments(cls)) == set(cls.model_fields) - {"kind"}


@pytest.mark.parametrize("way", BUILDS)
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", RIGHT)
def test_follows_the_figures_of_others(name: str, problem: str, way: str):
    theirs = torch.tensor(REFERENCE["right"][name]["params"][problem], dtype=torch.float64)
    torch.testing.assert_close(walk(lambda ps: BUILDS[way](RIGHT[name], ps), problem), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", WRONG)
def test_is_not_the_common_mistake(name: str, problem: str):
    mistaken = torch.tensor(REFERENCE["wrong"][name]["params"][problem], dtype=torch.float64)
    assert (walk(WRONG[name].build, problem) - mistaken).abs().max() > 1e-4


def test_adabound_is_adam_while_the_band_is_open():
    adam = walk(lambda ps: torch.optim.Adam(ps, lr=0.01), "quad2")
    torch.testing.assert_close(walk(AdaBound(lr=0.01, gamma=1e-12).build, "quad2"), adam)


def test_adabound_is_sgd_on_the_mean_gradient_once_the_band_is_shut():
    """A first gradient of zero gives torch's velocity the zero start that AdaBound's mean has."""

    def walked(build: Callable[[Any], torch.optim.Optimizer]) -> Tensor:
        x = nn.Parameter(torch.tensor([-1.0, 2.0], dtype=torch.float64))
        optimizer, x.grad = build([x]), torch.zeros(2, dtype=torch.float64)
        optimizer.step()
        for _ in range(20):
            optimizer.zero_grad()
            loss_of("quad2", x).backward()
            optimizer.step()
        return x.detach()

    sgd = walked(lambda ps: torch.optim.SGD(ps, lr=0.02, momentum=0.9, dampening=0.9))
    torch.testing.assert_close(walked(AdaBound(final_lr=0.02, gamma=1e12).build), sgd, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", TABLE)
def test_comes_near_the_minimum(kind: str):
    settings = TABLE[kind]() if kind in ("sgd", "momentum") else TABLE[kind](lr=0.05)
    best = torch.tensor(REFERENCE["problems"]["quad2"]["minimum"], dtype=torch.float64)
    torch.testing.assert_close(walk(settings.build, "quad2", steps=800)[-1], best, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("kind", "cls"),
    [("sgd", "SGD"), ("momentum", "SGD"), ("adam", "Adam"), ("adamw", "AdamW"), ("adabound", "RuleOptimizer")],
)
def test_builds_torchs_own_class_fused_where_there_is_one(kind: str, cls: str):
    optimizer = TABLE[kind]().build(nn.Linear(2, 2).parameters())
    assert type(optimizer).__name__ == cls
    if cls != "RuleOptimizer":
        assert optimizer.param_groups[0]["fused"] is True


def test_a_complex_parameter_is_left_to_torchs_own_loop():
    p = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    optimizer = AdamW().build([p])
    assert optimizer.param_groups[0]["fused"] is None
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert bool((p.detach().real < 1).all())


@pytest.mark.parametrize("name", VARIED)
def test_the_built_class_and_the_rule_walk_the_same_way(name: str):
    built, ruled = Odd(torch.float64), Odd(torch.float64)
    fast, rule = VARIED[name].build(decay_groups(built)), RuleOptimizer(decay_groups(ruled), VARIED[name])
    for t in range(1, 31):
        built.step(fast, t)
        ruled.step(rule, t)
        torch.testing.assert_close(built.values(), ruled.values(), rtol=1e-10, atol=1e-12)


def single_and_stacked(name: str, dtype: torch.dtype, staggered: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Weights of K = 3 trials with different settings after 12 steps, run alone and as a stack; [K, *] for each shape."""
    trials = [VARIED[name].replace(lr=lr, decay=decay) for lr, decay in ((0.01, 0.0), (0.03, 0.1), (0.002, 0.5))]
    if "beta1" in type(trials[0]).model_fields:
        trials = [t.replace(beta1=b1, beta2=b2) for t, b1, b2 in zip(trials, (0.9, 0.5, 0.8), (0.999, 0.9, 0.99))]
    shapes, dice = [(), (3,), (4, 3)], torch.Generator().manual_seed(3)
    starts = [torch.randn(3, *shape, generator=dice, dtype=torch.float64).to(dtype) for shape in shapes]
    pulls = [torch.randn(12, 3, *shape, generator=dice, dtype=torch.float64).to(dtype) for shape in shapes]
    first = (1, 5, 2) if staggered else (1, 1, 1)  # members that joined at different times differ in t
    fields = [f for f in type(trials[0]).model_fields if f != "kind"]
    alone, together = [], []
    for start, pull in zip(starts, pulls):
        rows = []
        for k, trial in enumerate(trials):
            p, s = start[k].clone(), {n: torch.zeros_like(start[k]) for n in trial.state}
            for i in range(12):
                h = SimpleNamespace(**{f: getattr(trial, f) for f in fields})
                trial.step_(p, pull[i, k] + p, s, first[k] + i, h)
            rows.append(p)
        alone.append(torch.stack(rows))
        axes = (3, *[1] * (start.ndim - 1))

        def column(f: str, axes: tuple[int, ...] = axes) -> Any:
            values = [getattr(trial, f) for trial in trials]
            return values[0] if isinstance(values[0], bool) else torch.tensor(values, dtype=torch.float64).reshape(axes)

        h = SimpleNamespace(**{f: column(f) for f in fields})
        p, s = start.clone(), {n: torch.zeros_like(start) for n in trials[0].state}
        for i in range(12):
            t = torch.tensor([f + i for f in first]).reshape(axes) if staggered else 1 + i
            trials[0].step_(p, pull[i] + p, s, t, h)
        together.append(p)
    return alone, together


@pytest.mark.parametrize("staggered", [False, True])
@pytest.mark.parametrize("name", VARIED)
def test_a_stack_of_trials_walks_as_each_walks_alone(name: str, staggered: bool):
    alone, together = single_and_stacked(name, torch.float64, staggered)
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", VARIED)
def test_a_stack_in_float32_differs_by_rounding_alone(name: str):
    alone, together = single_and_stacked(name, torch.float32, staggered=False)
    assert all(p.dtype == torch.float32 for p in together)
    torch.testing.assert_close(together, alone, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("way", BUILDS)
@pytest.mark.parametrize("name", VARIED)
def test_a_resumed_run_is_equal_to_the_last_bit_wherever_it_stopped(name: str, way: str):
    whole, steps = Odd(), 6
    optimizer = BUILDS[way](VARIED[name], decay_groups(whole))
    saved: list[bytes] = []
    for t in range(1, steps + 1):
        whole.step(optimizer, t)
        file = io.BytesIO()
        torch.save({"net": whole.state_dict(), "optimizer": optimizer.state_dict()}, file)
        saved.append(file.getvalue())
    for done, content in enumerate(saved, start=1):
        resumed = Odd()
        again = BUILDS[way](VARIED[name], decay_groups(resumed))
        state = torch.load(io.BytesIO(content), weights_only=True)
        resumed.load_state_dict(state["net"])
        again.load_state_dict(state["optimizer"])
        for t in range(done + 1, steps + 1):
            resumed.step(again, t)
        assert all(torch.equal(a, b) for a, b in zip(resumed.values(), whole.values()))


@pytest.mark.parametrize("way", BUILDS)
@pytest.mark.parametrize("name", VARIED)
def test_a_parameter_without_a_gradient_rests_and_starts_when_it_has_one(name: str, way: str):
    net = Odd(torch.float64)
    optimizer, before = BUILDS[way](VARIED[name], list(net.parameters())), net.late.detach().clone()
    net.step(optimizer, 1)
    net.step(optimizer, 2)
    assert torch.equal(net.late.detach(), before)
    for t in range(3, 6):
        net.step(optimizer, t)
    fresh = Odd(torch.float64)  # its late weight sees the same gradients as its first ones
    alone = BUILDS[way](VARIED[name], [fresh.late])
    again = Odd(torch.float64)
    others = BUILDS[way](VARIED[name], list(again.parameters()))
    for t in range(1, 6):
        again.step(others, t)
        if again.late.grad is not None:
            fresh.late.grad = again.late.grad.clone()
            alone.step()
    torch.testing.assert_close(net.late.detach(), fresh.late.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", VARIED)
def test_the_layout_of_gradients_and_of_loaded_state_does_not_matter(name: str):
    """torch 2.13's fused kernels alone give wrong steps here; see optimizers/fused.py."""
    plain, last = Odd(torch.float64), Odd(torch.float64, channels_last=True)
    rule, fast = RuleOptimizer(plain.parameters(), VARIED[name]), VARIED[name].build(last.parameters())
    for t in range(1, 7):
        plain.step(rule, t)
        fast.zero_grad()
        last.loss(t).backward()
        assert last.window.grad is not None
        last.window.grad = last.window.grad.contiguous()
        fast.step()
        if t == 3:
            state = copy.deepcopy(fast.state_dict())
            for entries in state["state"].values():
                entries.update({k: v.contiguous() for k, v in entries.items() if isinstance(v, Tensor)})
            fast.load_state_dict(state)
    torch.testing.assert_close(last.values(), plain.values(), rtol=1e-10, atol=1e-12, check_stride=False)


@pytest.mark.parametrize("name", VARIED)
def test_leaves_the_gradient_as_it_was(name: str):
    p = nn.Parameter(torch.ones(3))
    p.grad = torch.tensor([1.0, -2.0, 3.0])
    RuleOptimizer([p], VARIED[name]).step()
    assert p.grad.tolist() == [1.0, -2.0, 3.0]


@pytest.mark.parametrize("way", BUILDS)
@pytest.mark.parametrize("name", VARIED)
def test_a_group_overrides_settings_by_our_names_and_may_come_later(name: str, way: str):
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = BUILDS[way](VARIED[name], [{"params": [a], "lr": 0.5, "decay": 0.0}])
    a.grad = torch.ones(2)
    optimizer.step()
    optimizer.add_param_group({"params": [b], "weight_decay": 0.0})
    b.grad = torch.zeros(2)
    optimizer.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, VARIED[name].lr]  # type: ignore[attr-defined]
    assert b.tolist() == [1.0, 1.0]  # neither gradient nor decay moves it
    assert (a.detach() < 1).all()


@pytest.mark.parametrize("way", BUILDS)
def test_climbs_where_a_group_asks_to_maximize(way: str):
    for settings in VARIED.values():
        p = nn.Parameter(torch.zeros(2))
        optimizer = BUILDS[way](settings, [{"params": [p], "maximize": True}])
        p.grad = torch.ones(2)
        optimizer.step()
        assert (p.detach() > 0).all()


def test_the_rule_calls_a_closure_with_gradients_and_gives_its_loss():
    p = nn.Parameter(torch.tensor([3.0]))
    optimizer = AdaBound().build([p])

    def closure() -> float:
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 9.0
    assert p.item() < 3.0


def test_a_schedule_lowers_both_rates_of_adabound_as_the_authors_code_does():
    shut = AdaBound(final_lr=0.02, gamma=1e12, beta1=0.0)  # the rate is final_lr, m is the gradient
    p = nn.Parameter(torch.zeros(1))
    optimizer = shut.build([p])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    moved = []
    for _ in range(3):
        before = p.item()
        p.grad = torch.ones(1)
        optimizer.step()
        schedule.step()
        moved.append(before - p.item())
    assert moved == pytest.approx([0.02, 0.01, 0.005], rel=1e-5)
    assert shut.rates == ("lr", "final_lr")
