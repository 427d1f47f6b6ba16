"""A stack's step: optimizers in columns, cross-entropy with the classes first, and what goes wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from tuneful.core.recipe import Recipe
from tuneful.pipeline.stack import Stack, columns
from tuneful.pipeline.stack import stack as stacking
from tuneful.pipeline.stack.bank import Bank
from tuneful.pipeline.stack.batch import together
from tuneful.pipeline.stack.crossing import Crossing, crossed
from tuneful.pipeline.stack.graphs import Graph, Graphs
from tuneful.pipeline.stack.manual import manual
from tuneful.pipeline.train import Run
from tuneful.techniques.losses.balance import NOTHING
from tuneful.techniques.models import MLP
from tuneful.techniques.models.mlp import Added
from tuneful.techniques.optimizers import SGD, Adam, AdamW, AMSGrad, Lion, Momentum, Nesterov
from tuneful.techniques.regularizers import Clipping, Dropout
from tuneful.techniques.schedules import Constant

RULES = [SGD(lr=0.05), Momentum(lr=0.02), Nesterov(lr=0.02, decay=0.01), Adam(decay=0.1), AMSGrad(lr=3e-3), AdamW(decay=0.1)]


@given(
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(2, 9),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_cross_entropy_of_members_and_its_gradient_are_torchs(k: int, b: int, length: int, kind: torch.dtype, seed: int):
    dice = torch.Generator().manual_seed(seed)
    z = (3 * torch.randn(k, b, length, generator=dice, dtype=kind)).requires_grad_()
    y = torch.randint(NOTHING, length, (k, b), generator=dice)
    up = torch.rand(k, generator=dice, dtype=kind)
    ours = Crossing.apply(z, y)
    theirs = F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="none", ignore_index=NOTHING).view(k, b).sum(1)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(one, z, up)[0] for one in (ours, theirs)))
    totals, grad = crossed(z.detach(), y)
    torch.testing.assert_close(totals, theirs)
    torch.testing.assert_close(grad, torch.autograd.grad(Crossing.apply(z, y).sum(), z)[0])  # type: ignore[attr-defined]


LAYERS: dict[str, Any] = {
    "rectifiers": lambda: (nn.ReLU(), nn.LeakyReLU(0.2)),
    "gates": lambda: (nn.GELU(), nn.SiLU()),
    "bounded": lambda: (nn.Tanh(), nn.Sigmoid()),
    "no bias": lambda: (nn.Linear(5, 5, bias=False), nn.GELU(approximate="tanh")),
    "sums": lambda: (Added(nn.Linear(5, 5), nn.Tanh(), nn.Dropout(0.0)), nn.Identity()),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shared", [False, True])
def test_the_way_there_and_back_by_hand_gives_what_autograd_gives(name: str, shared: bool):
    nets = [nn.Sequential(nn.Flatten(), nn.Linear(6, 5), *LAYERS[name](), nn.Linear(5, 3)).double() for _ in range(4)]
    bank, ours = Bank(nets), manual(nets[0], 3)
    assert ours is not None
    x = torch.randn(*([] if shared else [4]), 7, 2, 3, dtype=torch.float64)
    tensors, g = bank.leaves(0, 4), torch.randn(4, 7, 3, dtype=torch.float64)
    with torch.no_grad():
        z, grads = ours.there(x, tensors, None, 4, shared), ours.back(g, tensors)
    assert len(grads) == len(tensors)
    for at, net in enumerate(nets):
        wanted = net(x if shared else x[at])
        torch.testing.assert_close(z[at], wanted)
        for (path, _), grad in zip(
            net.named_parameters(), torch.autograd.grad(wanted, list(net.parameters()), g[at]), strict=True
        ):
            torch.testing.assert_close(grads[path][at], grad)


def test_what_the_way_by_hand_does_not_know_is_left_to_autograd():
    frozen = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    frozen[0].requires_grad_(False)
    for net, axes in (
        (nn.Sequential(nn.Linear(3, 2)), 3),  # acts on the last of three axes
        (nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)), 2),
        (nn.Sequential(nn.Linear(3, 3), nn.SiLU(inplace=True)), 2),
        (nn.Sequential(nn.Linear(3, 3), nn.Flatten()), 2),
        (frozen, 2),
    ):
        assert manual(net, axes) is None
    assert manual(nn.Sequential(nn.Linear(3, 2)), 2) is not None


def recipe(rule: Any, **others: Any) -> Recipe:
    return Recipe(
        model=MLP(width=6, depth=1), optimizer=rule, schedule=Constant(), regularizers=(), augments=(), batch_size=16, epochs=1.0,
        validate_every=1.0, threads=1,
    ).replace(others)  # fmt: skip


@pytest.fixture
def doubles() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("way", ["columns", "kernel"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_members_step_in_either_way_as_each_alone_and_so_do_those_that_come_later(rule, way, flowers, monkeypatch):
    if way == "kernel":
        monkeypatch.setattr(columns, "MOST", 0)
    recipes = [
        recipe(rule, **{"seed": n, "optimizer.lr": rule.lr * (1 + n / 3), "optimizer.decay": rule.decay * n})
        for n in range(3)
    ]
    alone = [Run(flowers, one, device="cpu") for one in recipes]
    stack = Stack(flowers, recipes[:2], device="cpu", width=2)
    ahead = Run(flowers, recipes[2], device="cpu")
    for run in (*alone, *stack.runs.values(), ahead):
        run.early.steps = 0
    stack._lay()
    stack._advance(9)
    ahead.advance(4)
    stack.enter(*ahead.state())
    stack.width = 3
    stack._lay()
    assert not stack.single
    stack.runs[2].early.steps = 0
    stack._advance(1)
    stack._advance(5)
    assert stack.stepping.way == way
    for run, steps in zip(alone, (15, 15, 10), strict=True):
        run.advance(steps)
    for number, run in enumerate(alone):
        tensors, plain = stack.state(number)
        wanted, known = run.state()
        assert plain["step"] == known["step"]
        assert tensors.keys() == wanted.keys()
        for name, tensor in wanted.items():
            torch.testing.assert_close(tensors[name], tensor, rtol=1e-9, atol=1e-11, msg=lambda m, name=name: f"{name}: {m}")


def test_large_or_unlike_members_are_not_stepped_in_columns(flowers):
    def served(rule: Any, *changes: dict[str, Any]) -> bool:
        runs = [Run(flowers, recipe(rule, **change), device="cpu") for change in changes]
        for run in runs:
            run.advance(1)
        return columns.Columns.serve(runs, [dict(run.body.named_parameters()) for run in runs])

    assert served(AdamW(), {}, {"optimizer.beta1": 0.5})
    assert served(Momentum(), {}, {"optimizer.momentum": 0.5})
    assert not served(AdamW(), {"model.width": 1 << 16}, {"model.width": 1 << 16})
    assert not served(Momentum(), {}, {"optimizer.momentum": 0.0})
    assert not served(Lion(), {}, {})


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("at", [0, 3, 11])
def test_memory_that_runs_out_halves_the_width_and_changes_nothing(at, flowers, monkeypatch):
    recipes = [
        recipe(Momentum(lr=0.02), seed=n, epochs=2.0, **{"model.norm": "batch", "regularizers": (Dropout(rate=0.2),)})
        for n in range(5)
    ]
    alone = [Run(flowers, one, device="cpu") for one in recipes]
    stack, calls = Stack(flowers, recipes, device="cpu", width=5), [0]
    real = stacking.gradients

    def short(runs: Any, *others: Any) -> Any:
        found = real(runs, *others)
        calls[0] += 1
        if calls[0] > at and len(runs) > 2:
            raise torch.OutOfMemoryError("injected")
        return found

    monkeypatch.setattr(stacking, "gradients", short)
    list(stack)
    for number, run in enumerate(alone):
        list(run)
        tensors, _ = stack.state(number)
        for name, tensor in run.state()[0].items():
            torch.testing.assert_close(tensors[name], tensor, rtol=1e-9, atol=1e-11, msg=lambda m, name=name: f"{name}: {m}")
    said = [note for point in stack.runs[0].curve for note in point.notes if "memory" in note]
    assert said[0].endswith("with 5 members at once: 3 at once from now on")
    assert said[1].endswith("with 3 members at once: 2 at once from now on")
    assert len(said) == 2


def test_a_member_whose_bf16_comes_to_nothing_goes_on_alone_in_fp32_and_the_others_do_not_notice(flowers):
    recipes = [recipe(AdamW(lr=0.01), seed=n, epochs=6.0, precision="bf16") for n in range(3)]
    calm, hurt = (Stack(flowers, recipes, device="cpu", width=3) for _ in range(2))
    list(calm)
    for number, point in hurt:
        if (number, point.epoch) == (1, 2.0):
            with torch.no_grad():
                next(hurt.runs[1].body.parameters()).fill_(torch.nan)
    assert [run.ended for run in hurt.runs.values()] == ["all 6 epochs are done"] * 3
    assert [run.execution.precision for run in hurt.runs.values()] == ["bf16", "fp32", "bf16"]
    said = [note for point in hurt.runs[1].curve for note in point.notes]
    assert any("in bf16: back from step" in note and note.endswith("and on in fp32") for note in said)
    assert [point.epoch for point in hurt.runs[1].curve] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert all(torch.isfinite(p).all() for p in hurt.runs[1].body.parameters())
    for number in (0, 2):
        for name, tensor in calm.state(number)[0].items():
            torch.testing.assert_close(hurt.state(number)[0][name], tensor, msg=lambda m, name=name: f"{name}: {m}")


class Replayed:
    """A CUDA graph without a GPU: what it does again is to call, and its results stay where they were."""

    made = 0

    def __init__(self, call: Any) -> None:
        type(self).made += 1
        for _ in range(2):  # as a capture does, before it
            call()
        self.call, (each, grads) = call, call()
        self.found = each, grads

    def replay(self) -> Any:
        each, grads = self.call()
        self.found[0].copy_(each)
        for name, g in grads.items():
            self.found[1][name].copy_(g)
        return self.found


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("change", [{}, {"model.norm": "batch"}, {"regularizers": (Clipping(max_norm=0.1),)}], ids=str)
def test_a_captured_step_goes_as_a_step_that_is_called(change, flowers, monkeypatch):
    recipes = [recipe(Momentum(lr=0.02), seed=n, **change) for n in range(3)]
    alone = [Run(flowers, one, device="cpu") for one in recipes]
    stack = Stack(flowers, recipes, device="cpu", width=3)
    monkeypatch.setattr(stacking, "Graphs", lambda: Graphs(Replayed))
    monkeypatch.setattr(Graphs, "serves", lambda self, *others: not self.refused)
    Replayed.made = 0
    list(stack)
    assert Replayed.made == 1
    for number, run in enumerate(alone):
        list(run)
        for name, tensor in run.state()[0].items():
            torch.testing.assert_close(
                stack.state(number)[0][name], tensor, rtol=1e-9, atol=1e-11, msg=lambda m, name=name: f"{name}: {m}"
            )


def test_what_cannot_be_captured_is_called_and_the_reason_told(flowers, monkeypatch):
    def refused(call: Any) -> Any:
        call()
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    recipes = [recipe(Momentum(lr=0.02), seed=n, **{"model.norm": "batch"}) for n in range(2)]
    calm, hurt = (Stack(flowers, recipes, device="cpu", width=2) for _ in range(2))
    list(calm)
    monkeypatch.setattr(stacking, "Graphs", lambda: Graphs(refused))
    monkeypatch.setattr(Graphs, "serves", lambda self, *others: not self.refused)
    list(hurt)
    assert hurt.reason.endswith(
        "cannot capture its step as a CUDA graph: CUDA error: operation not permitted when stream is capturing"
    )
    for name, tensor in calm.state(0)[0].items():
        torch.testing.assert_close(hurt.state(0)[0][name], tensor, rtol=0, atol=0)


def test_a_step_off_the_gpu_or_with_chance_is_not_captured(flowers):
    if not torch.cuda.is_available():
        with pytest.raises((RuntimeError, AssertionError)):
            Graph(lambda: (torch.zeros(1), {}))
    stack = Stack(flowers, [recipe(AdamW(), seed=n) for n in range(2)], device="cpu", width=2)
    list(stack)
    batch = together(stack.members or list(stack.runs.values()))
    graphs, runs = Graphs(), list(stack.runs.values())
    assert not graphs.serves(runs, batch, stack.streams)
    far = replace(batch, x=SimpleNamespace(device=torch.device("cuda")))  # type: ignore[arg-type]
    assert graphs.serves(runs, far, stack.streams)
    stack.streams.active = True
    assert not graphs.serves(runs, far, stack.streams)
