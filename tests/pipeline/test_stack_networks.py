"""Stacks of any network: equal to single runs in float64, through evictions and entries, by hand, by vmap, or singly with the reason told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tuneful.core.recipe import Recipe
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline.stack import Stack
from tuneful.pipeline.train import Run
from tuneful.techniques.models import GRU, LSTM, MLP, Bag, ConvNet, Own, Transformer
from tuneful.techniques.optimizers import SGD, Adam, AdamW, Lion, Momentum, RMSprop
from tuneful.techniques.regularizers import Averaging, Dropout
from tuneful.techniques.schedules import Constant


@pytest.fixture(autouse=True, scope="module")
def doubles() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def task(kind: str) -> Task:
    dice = np.random.default_rng(0)
    if kind == "tokens":
        x: Any = dice.integers(0, 7, (72, 5)).astype(np.int32)
        schema: dict[str, Any] = {"kind": "tokens", "shape": [5], "vocabulary": 8}
    else:
        shape = (6,) if kind == "vector" else (2, 6, 6)
        x, schema = dice.normal(size=(72, *shape)).astype(np.float32), {"kind": kind, "shape": list(shape)}
    y = dice.integers(0, 3, 72)
    train, valid, test = (Split(x[a:b], y[a:b]) for a, b in ((0, 40), (40, 56), (56, 72)))
    return Task("made", "multiclass", tuple(x.shape[1:]), tuple("abc"), train, valid, Sealed(test), Objective("accuracy", "max"),
                f"f00d{kind}", schema)  # fmt: skip


class Bags(nn.Sequential):
    """The mean of the words' vectors."""

    def __init__(self, outputs: int) -> None:
        super().__init__(nn.EmbeddingBag(8, 4), nn.Dropout(0.0), nn.Linear(4, outputs))


class Branching(nn.Sequential):
    """A step that depends on what the numbers are."""

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__(nn.Linear(inputs[0], outputs), nn.Dropout(0.0))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input if float(input.sum()) > 0 else -input)


class Noisy(nn.Sequential):
    """Chance of its own."""

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__(nn.Linear(inputs[0], outputs), nn.Dropout(0.0))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input + torch.rand(input.shape[-1]) if self.training else input)


NETWORKS: dict[str, tuple[str, Any]] = {
    "mlp": ("vector", MLP(width=5, depth=2, residual=True, norm="layer")),
    "batch norm": ("image", ConvNet(width=2, depth=1)),
    "group norm": ("image", ConvNet(width=2, depth=1, norm="group")),
    "lstm": ("tokens", LSTM(embedding=3, width=4)),
    "gru": ("tokens", GRU(embedding=3, width=4)),
    "transformer": ("tokens", Transformer(width=4, heads=2, depth=1)),
    "bag": ("tokens", Bag(width=3, buckets=16)),
    "embedding bag": ("tokens", Own.of(Bags)),
}
OPTIMIZERS = [SGD(lr=0.1), Momentum(lr=0.05), Adam(lr=0.01), AdamW(lr=0.01), RMSprop(), Lion(lr=1e-3)]


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    optimizer=st.sampled_from(OPTIMIZERS),
    width=st.integers(2, 4),
    rate=st.sampled_from([0.0, 0.3]),
    leaves=st.integers(0, 1),
)
def test_members_of_any_network_go_as_they_go_alone(name: str, optimizer: Any, width: int, rate: float, leaves: int):
    """20 steps, of which one member spends some outside of the stack."""
    kind, model = NETWORKS[name]
    if name in ("batch norm", "transformer") and optimizer.scale_free:
        # Biases of keys, and what lies before a norm, have gradients that are nothing but rounding, which these would make steps of.
        optimizer = Momentum(lr=0.05)
    on = task(kind)
    base = Recipe(
        model=model, optimizer=optimizer, schedule=Constant(), batch_size=8, epochs=4.0, validate_every=1.0, threads=1, augments=(),
        regularizers=(Dropout(rate=rate), Averaging(decay=0.8)), alarm="tell",
    )  # fmt: skip
    recipes = [base.replace({"seed": n, "optimizer.lr": optimizer.lr * (1 + n)}) for n in range(width)]
    stack = Stack(on, recipes, width=width)
    steps = iter(stack)
    while len(stack.runs[leaves].curve) < 1:
        next(steps)
    out = stack.evict(leaves)
    out.advance(2)
    back = stack.enter(*out.state())
    list(stack)
    assert stack.program is not None, stack.reason
    for number, recipe in enumerate(recipes):
        alone = Run(on, recipe)
        list(alone)
        here = stack.runs[back if number == leaves else number]
        assert here.step == alone.step == 20
        for part, tensor in alone.state()[0].items():
            if not part.startswith("sum."):
                torch.testing.assert_close(
                    here.state()[0][part], tensor, rtol=1e-9, atol=1e-9, msg=lambda m, part=part: f"{part}: {m}"
                )


@pytest.mark.parametrize(("network", "words"), [(Branching, "cannot be stacked"), (Noisy, "comes out differently")])
def test_what_cannot_be_stacked_is_trained_singly_and_the_reason_is_told(network: type[nn.Module], words: str):
    on = task("vector")
    base = Recipe(model=Own.of(network), optimizer=SGD(), schedule=Constant(), batch_size=8, epochs=1.0, threads=1,
                  augments=(), regularizers=())  # fmt: skip
    stack = Stack(on, [base, base.replace(seed=1)])
    list(stack)
    assert words in stack.reason
    for number, recipe in enumerate((base, base.replace(seed=1))):
        alone = Run(on, recipe)
        list(alone)
        for part, tensor in alone.state()[0].items():
            assert torch.equal(stack.runs[number].state()[0][part], tensor)
