"""A stack: each member goes the way that it goes alone, in whatever company, width and process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline import state
from tuneful.pipeline.stack import Stack, apart
from tuneful.pipeline.stack.width import Width
from tuneful.pipeline.train import Run
from tuneful.techniques.augments import Noise
from tuneful.techniques.models import MLP
from tuneful.techniques.optimizers import SGD, AdamW, Lion, Momentum, Muon, RMSprop
from tuneful.techniques.regularizers import Averaging, Clipping, Dropout, EarlyStopping, Smoothing, WeightNoise
from tuneful.techniques.schedules import Constant, Cosine


@pytest.fixture(autouse=True)
def doubles() -> Iterator[None]:
    """All of it in float64, in which two ways of adding up differ little."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def task(features: int = 6, classes: int = 3, rows: int = 96) -> Task:
    dice = np.random.default_rng(0)
    x = dice.normal(size=(rows + 48, features)).astype(np.float32)
    y = (x @ dice.normal(size=(features, classes))).argmax(1)
    train, valid, test = (Split(x[a:b], y[a:b]) for a, b in ((0, rows), (rows, rows + 24), (rows + 24, rows + 48)))
    return Task("made", "multiclass", (features,), tuple("abc"), train, valid, Sealed(test), Objective("accuracy", "max"), "f00d",
                {"kind": "vector", "shape": [features]})  # fmt: skip


BASE = Recipe(
    model=MLP(width=8, depth=2, norm="batch"), optimizer=AdamW(lr=0.01), schedule=Constant(), regularizers=(), augments=(),
    batch_size=16, epochs=4.0, validate_every=1.0, threads=1,
)  # fmt: skip
CLOCKED = ("seconds", "curve", "early")  # what holds times, or losses to the last bit


def equal(run: Run, other: Run, told: float = 1e-9) -> None:
    """Two runs are in one state, but for the time that they took and the last digits."""
    (ours, plain), (theirs, beside) = run.state(), other.state()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(theirs[name], tensor, rtol=told, atol=told, msg=lambda m, name=name: f"{name}: {m}")
    assert {k: v for k, v in plain.items() if k not in (*CLOCKED, "first")} == {
        k: v for k, v in beside.items() if k not in (*CLOCKED, "first")
    }
    assert [(p.step, p.value, p.notes) for p in run.curve] == [(p.step, p.value, p.notes) for p in other.curve]
    for mine, its in zip(run.curve, other.curve, strict=True):
        assert (mine.train_loss, mine.valid_loss, mine.lr) == pytest.approx(
            (its.train_loss, its.valid_loss, its.lr), rel=told
        )


def twins(recipes: list[Recipe], on: Task | None = None) -> None:
    """Train as a stack and one by one, and compare."""
    on = on or task()
    stack, seen = Stack(on, recipes, width=len(recipes)), dict.fromkeys(range(len(recipes)), 0)
    for number, point in stack:
        seen[number] += 1
        assert point is stack.runs[number].curve[-1]
    assert stack.ended
    for number, recipe in enumerate(recipes):
        alone = Run(on, recipe)
        assert len(list(alone)) == seen[number]
        equal(alone, stack.runs[number])


OPTIMIZERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "adamw": (AdamW(lr=0.01), {"optimizer.beta1": 0.5, "optimizer.decay": 0.5}),
    "sgd": (SGD(lr=0.1), {"optimizer.decay": 0.1}),
    "momentum": (Momentum(lr=0.05), {"optimizer.momentum": 0.0}),
    "rmsprop": (RMSprop(), {"optimizer.beta": 0.8}),
    "lion": (Lion(lr=1e-3), {"optimizer.beta2": 0.8}),
    "muon": (Muon(lr=0.01), {"optimizer.momentum": 0.5}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_members_with_settings_of_their_own_go_as_they_go_alone(name: str):
    optimizer, change = OPTIMIZERS[name]
    base = BASE.replace({"optimizer": optimizer, "model.norm": "layer"})  # the sign of a gradient of zero is chance
    twins([base, base.replace("optimizer.lr", 3 * optimizer.lr), base.replace({"seed": 3, "schedule": Cosine(), **change})])


def test_regularizers_augments_lengths_and_ends_are_each_members_own():
    base = BASE.replace(
        regularizers=(Dropout(rate=0.3), Smoothing(), Averaging(decay=0.9), Clipping(max_norm=0.5), WeightNoise(), EarlyStopping(patience=2)),
        augments=(Noise(),), epochs=8.0, model=MLP(width=8, depth=2, norm="layer"),  # before a batch norm biases move by rounding alone
    )  # fmt: skip
    twins([
        base,
        base.replace({"regularizers.dropout.rate": 0.0, "regularizers.smoothing.amount": 0.4, "optimizer.lr": 0.1}),
        base.replace({"regularizers.dropout.rate": 0.6, "seed": 1, "augments.noise.std": 0.5, "epochs": 3.0}),
        base.replace({"regularizers.averaging.decay": 0.5, "seed": 2, "optimizer.lr": 1e-5, "validate_every": 0.5}),
    ])  # fmt: skip


def test_a_member_is_evicted_saved_moved_to_another_width_and_to_a_single_run_and_comes_back(tmp_path):
    on = task()
    recipes = [BASE.replace({"seed": seed, "regularizers": (Dropout(rate=0.2), Averaging(decay=0.9))}) for seed in range(4)]
    whole = [Run(on, recipe) for recipe in recipes]
    for run in whole:
        list(run)
    stack = Stack(on, recipes)
    steps = iter(stack)
    while min(len(run.curve) for run in stack.runs.values()) < 1:
        next(steps)
    state.save(tmp_path / "one", *stack.state(1))
    out = stack.evict(2)
    assert len(stack.rows) == 3
    single = Run.resume(on, tmp_path / "one")  # in another process it would be the same file
    stack.evict(1)
    list(single)
    equal(single, whole[1])
    while min(len(stack.runs[n].curve) for n in (0, 3)) < 2:
        next(steps)
    other = Stack(on, [recipes[0].replace(seed=9)])  # another stack, in which the evicted one goes on
    back = other.enter(*out.state())
    list(other)
    equal(other.runs[back], whole[2])
    again = stack.enter(*state.load(tmp_path / "one"))  # and the saved one comes back into the first
    list(stack)
    for number, expected in ((0, 0), (3, 3), (again, 1)):
        equal(stack.runs[number], whole[expected])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model.width": 9}, "model is"),
        ({"batch_size": 8}, "batch_size is 16 in one and 8 in the other"),
        ({"optimizer": Lion()}, "optimizer.kind is adamw in one and lion in the other"),
        ({"regularizers": (Clipping(),)}, "regularizers is"),
    ],
)
def test_says_why_two_recipes_cannot_stand_in_one_stack(change: dict[str, Any], words: str):
    assert words in apart(task(), BASE, BASE.replace(change))
    with pytest.raises(RecipeError, match=words):
        Stack(task(), [BASE, BASE.replace(change)])


def test_equal_shapes_stand_together():
    assert apart(task(), BASE, BASE.replace({"optimizer.lr": 1.0, "seed": 7, "epochs": 9.0, "schedule": Cosine()})) == ""


@pytest.mark.parametrize(("together", "chosen"), [(0.5, 4), (0.95, 1), (1.2, 1), (9.0, 1)])
def test_the_width_is_what_is_clearly_the_fastest_and_one_by_one_where_none_is(together: float, chosen: int):
    paces, seconds = Width(4), {4: together, 2: 1.5, 1: 1.0}
    for _ in range(20):
        if not paces.chosen:
            paces.took(paces.next(), seconds[paces.next()])
    assert paces.chosen == chosen
    assert "a step of all 4 took" in paces.reason
