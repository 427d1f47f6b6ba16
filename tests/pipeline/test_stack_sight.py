"""The watch over the members of a stack sees what it sees of each alone, and is not what slows them down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tuneful.core.recipe import Recipe
from tuneful.pipeline.stack import Stack
from tuneful.pipeline.train import Run
from tuneful.techniques.models import MLP, Own
from tuneful.techniques.optimizers import SGD, AdamW
from tuneful.techniques.regularizers import Clipping, Smoothing
from tuneful.techniques.schedules import Constant


@pytest.fixture(autouse=True)
def doubles() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Squashed(nn.Sequential):
    """Sigmoids, units that are dead from the first step, and a head that the loss does not want."""

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__(
            nn.Linear(inputs[0], 8), nn.Sigmoid(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, outputs), nn.Sigmoid()
        )
        with torch.no_grad():
            self.get_submodule("2").bias[:2] = -99.0  # type: ignore[index]


class Winding(nn.Module):
    """No chain, so vmap has it, and its norm can be seen only where a member goes by itself."""

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.inner, self.norm, self.head = nn.Linear(inputs[0], 6), nn.BatchNorm1d(6), nn.Linear(6, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.inner(x)).relu())


BASE = Recipe(
    model=MLP(width=6, depth=2, norm="batch", activation="tanh"), optimizer=AdamW(lr=0.01), schedule=Constant(), regularizers=(),
    augments=(), batch_size=16, epochs=7.0, validate_every=7.0, threads=1,
)  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "norms and tanh": {},
    "probabilities and dead units": {"model": Own.of(Squashed), "optimizer": SGD(lr=0.1)},
    "soft targets, gradients that are clipped": {"regularizers": (Smoothing(), Clipping(max_norm=0.1))},
    "vmap": {"model": Own.of(Winding)},
}


def alike(ours: Any, theirs: Any, where: str = "seen") -> None:
    if isinstance(ours, Mapping):
        assert ours.keys() == theirs.keys(), where
        for name in ours:
            alike(ours[name], theirs[name], f"{where}.{name}")
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), where
        for at, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            alike(one, other, f"{where}[{at}]")
    elif isinstance(ours, float):
        assert theirs == pytest.approx(ours, rel=1e-5, abs=1e-7, nan_ok=True), where
    else:
        assert ours == theirs, where


@pytest.mark.parametrize("name", CASES)
def test_what_is_seen_of_a_member_is_what_is_seen_of_it_alone(name: str, flowers):
    base = BASE.replace(CASES[name])
    recipes = [base.replace({"seed": n, "optimizer.lr": 0.01 * (1 + n)}) for n in range(3)]
    stack = Stack(flowers, recipes, device="cpu", width=3)
    late = Run(flowers, base.replace(seed=7), device="cpu")
    late.advance(4)  # looks at other steps than the others
    stack.enter(*late.state())
    stack.width = 4
    list(stack)
    assert not stack.single
    for run in stack.runs.values():
        alone = Run(flowers, run.recipe, device="cpu")
        list(alone)
        seen = alone.early.seen.as_data()
        assert seen["looks"] >= 2
        assert seen["layers"]
        alike(seen, run.early.seen.as_data())
        assert [point.notes for point in run.curve] == [point.notes for point in alone.curve]
    if name.startswith("prob"):
        assert stack.runs[0].early.seen.head == "sigmoid"
        assert "doctor: the network gives probabilities (sigmoid)" in str(stack.runs[0].curve[-1].notes)


def test_chains_are_looked_at_without_one_step_by_themselves(flowers, monkeypatch):
    stack = Stack(flowers, [BASE.replace(seed=n) for n in range(3)], device="cpu", width=3)
    monkeypatch.setattr(stack, "_singly", lambda runs: pytest.fail("members stepped one by one"))
    list(stack)
    assert all(run.early.over and run.early.seen.looks for run in stack.runs.values())


def test_a_member_that_will_come_to_nothing_is_ended_as_it_is_alone(flowers):
    base = BASE.replace({"model": MLP(width=6, depth=1), "optimizer": SGD(lr=0.05), "epochs": 40.0, "validate_every": 40.0})
    recipes = [base, base.replace("optimizer.lr", 3e3)]
    stack, alone = Stack(flowers, recipes, device="cpu", width=2), Run(flowers, recipes[1], device="cpu")
    list(stack)
    list(alone)
    assert alone.ended.startswith("diverged")
    assert stack.runs[1].ended == alone.ended
    assert stack.runs[0].ended == "all 40 epochs are done"
