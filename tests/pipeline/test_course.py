"""Schedules of momentum, decay and batch size: what a recipe says, what the optimizer gets, and that a stop changes nothing."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline import files
from tuneful.pipeline.batches import places
from tuneful.pipeline.codec import decode, from_data, from_mapping
from tuneful.pipeline.train import Run
from tuneful.techniques.optimizers import AdamW, Momentum
from tuneful.techniques.schedules import TABLE, Constant, Cosine, Linear, OneCycle, Step


def made(task, **settings):
    base = {"epochs": 3, "batch_size": 32, "validate_every": 1, "threads": 1, "model": "mlp", "width": 8}
    return from_mapping({**base, **settings}, task)[0]


def weights(run):
    return {**run.network.state_dict(), **{f"read.{k}": v for k, v in run.readout.state_dict().items()}}


def test_words_files_and_plain_data_say_the_same(flowers, tmp_path):
    words = {
        "optimizer": "momentum", "momentum_schedule": "one_cycle", "momentum_schedule.rise": 0.4, "momentum_to": 0.95,
        "decay_schedule": "cosine", "batch_schedule": "step", "batch_schedule.gamma": 0.5, "batch_to": 128,
    }  # fmt: skip
    recipe = made(flowers, **words)
    assert recipe.momentum_schedule == OneCycle(rise=0.4)
    assert recipe.decay_schedule == Cosine()
    assert recipe.batch_schedule == Step(gamma=0.5)
    assert recipe.schedule == "auto"
    assert from_data(recipe.as_data()) == recipe
    (tmp_path / "recipe.toml").write_text(files.write(recipe), "utf-8")
    assert decode(files.read(tmp_path / "recipe.toml"), flowers)[0].replace(reasons={}) == recipe.replace(reasons={})
    assert made(flowers, momentum_schedule="none").momentum_schedule == "none"
    assert recipe.replace("momentum_schedule.rise", 0.2).momentum_schedule == OneCycle(rise=0.2)
    assert recipe.replace(momentum_schedule="none").momentum_schedule == "none"


def test_a_recipe_without_them_does_not_speak_of_them(flowers):
    text = files.write(made(flowers))
    assert "_schedule" not in text
    assert "_to" not in text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"momentum_schedule.floor": 0.1}, r"momentum_schedule.floor is a setting of no schedule; say which, such as"),
        ({"decay_schedule": "linea"}, r"decay_schedule is 'linea'; it must be one of"),
        ({"decay_schedule": "cosine", "decay_schedule.floor": 2}, r"decay_schedule.floor is 2; it must be in \[0, 1\]"),
    ],
)
def test_mistakes_are_told(flowers, settings, said):
    with pytest.raises(RecipeError, match=said):
        made(flowers, **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"decay_to": 0.1}, "decay_to is 0.1, but decay_schedule is none"),
        ({"optimizer": "sgd", "momentum_schedule": "linear"}, "momentum_schedule has nothing to move"),
        ({"optimizer.decay": 0.0, "decay_schedule": "linear"}, "decay_schedule has nothing to move: decay is 0"),
        ({"batch_schedule": "plateau"}, "batch_schedule is plateau, which waits for values"),
    ],
)
def test_schedules_that_move_nothing_are_refused(flowers, settings, said):
    with pytest.raises(RecipeError, match=said):
        Run(flowers, made(flowers, **settings))


@pytest.mark.parametrize(
    ("optimizer", "name", "own"),
    [
        (Momentum(momentum=0.85, decay=0.02), "momentum", 0.85),
        (AdamW(beta1=0.85, decay=0.02), "betas", 0.85),
    ],
)
def test_momentum_and_decay_are_where_their_schedules_say(flowers, optimizer, name, own):
    cycle, fall = OneCycle(), Linear(warmup=0.2)
    recipe = made(flowers).replace(
        optimizer=optimizer, momentum_schedule=cycle, momentum_to=0.95, decay_schedule=fall, decay_to=0.4
    )
    run = Run(flowers, recipe)
    for step in range(run.steps):
        run._one_step()
        decayed, free = run.optimizer.param_groups
        value = decayed[name][0] if name == "betas" else decayed[name]
        assert value == pytest.approx(0.95 + (own - 0.95) * cycle.factor(step, run.steps))
        assert decayed["weight_decay"] == pytest.approx(0.4 + (0.02 - 0.4) * fall.factor(step, run.steps))
        assert free["weight_decay"] == 0
        assert decayed["lr"] == pytest.approx(optimizer.lr * run.recipe.schedule.factor(step, run.steps))


def test_a_constant_schedule_of_the_batch_size_is_none(flowers):
    runs = [Run(flowers, made(flowers, batch_schedule=kind, epochs=2.5)) for kind in ("none", "constant")]
    curves = [list(run) for run in runs]
    assert [(p.step, p.epoch, p.value) for p in curves[0]][:2] == [(p.step, p.epoch, p.value) for p in curves[1]][:2]
    assert runs[0].steps == pytest.approx(runs[1].steps, abs=1)


@given(
    n=st.integers(1, 400),
    size=st.integers(1, 64),
    to=st.integers(0, 500),
    kind=st.sampled_from(sorted(TABLE.keys() - {"plateau"})),
    epochs=st.floats(0.5, 6),
)
def test_batches_are_full_disjoint_within_an_epoch_and_fill_the_epochs_wanted(n, size, to, kind, epochs):
    recipe = Recipe(batch_size=min(size, n), batch_schedule=TABLE[kind](), batch_to=to, epochs=epochs)
    found = places(recipe, n)
    for one, after in itertools.pairwise(found):
        same = after.epoch == one.epoch
        assert after.start == (one.start + one.size if same else 0)
        assert same or one.start + one.size + after.size > n
        assert after.epoch - one.epoch in (0, 1)
    assert all(one.size >= 1 and one.start + one.size <= n for one in found)
    if max(size, to) < n / 8:
        assert found[-1].epoch + (found[-1].start + found[-1].size) / n == pytest.approx(epochs, abs=0.5)


def test_batches_grow_as_the_schedule_falls(flowers):
    recipe = made(flowers, epochs=8).replace(
        batch_size=16, batch_schedule=Step(gamma=0.5, every=0.25), batch_to=128, schedule=Constant()
    )
    run = Run(flowers, recipe)
    sizes = [run.batches.at(step)[0].shape[0] for step in range(run.steps)]
    assert sizes == sorted(sizes)
    assert sorted(set(sizes)) == [16, 72, 100, 114]
    assert [sizes.count(size) for size in (16, 72, 100)] == pytest.approx([len(sizes) / 4] * 3, abs=1)
    points = list(run)
    assert [int(point.epoch) for point in points] == list(range(1, 9))
    assert points[-1].epoch == pytest.approx(8, abs=0.5)


@pytest.mark.parametrize("stop", [1, 6, 13])
def test_goes_on_bit_by_bit_with_all_of_them(flowers, tmp_path, stop):
    recipe = made(flowers).replace(
        optimizer=AdamW(lr=1e-2, decay=0.1), momentum_schedule=OneCycle(), momentum_to=0.95, decay_schedule=Cosine(),
        decay_to=0.3, batch_schedule=Linear(warmup=0.3), batch_to=60,
    )  # fmt: skip
    whole, run = Run(flowers, recipe), Run(flowers, recipe)
    list(whole)
    while run.step < stop:
        run._one_step()
        if run.batches.due(run.step, recipe.validate_every):
            run.look()
    run.save(tmp_path / "state.safetensors")
    again = Run.resume(flowers, tmp_path / "state.safetensors")
    list(again)
    one, other = weights(whole), weights(again)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [(p.step, p.epoch, p.value) for p in again.curve] == [(p.step, p.epoch, p.value) for p in whole.curve]
