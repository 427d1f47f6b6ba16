"""The pace of a recipe, against a clock that the test holds in its hand."""

from __future__ import annotations

import pytest
import torch

from tuneful.core.budget import Budget, Clock
from tuneful.core.errors import ModelError
from tuneful.core.recipe import Recipe
from tuneful.pipeline import judge, pace, planned
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.pace import measure_pace
from tuneful.pipeline.plans import Plans
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.train import Run
from tuneful.pipeline.words import from_words
from tuneful.techniques.models import GRUEncoderDecoder, Own

STEP, CALL, EXAMPLE = 0.02, 0.001, 0.0005  # seconds that a step, a prediction, and each of its examples take here


@pytest.fixture
def counted(monkeypatch):
    """Steps and predicted examples since the beginning; only they take time."""
    now, counts = [0.0], {"steps": 0, "examples": 0}
    one_step, predict = Run._one_step, judge.predict

    def step(run):
        counts["steps"] += 1
        now[0] += STEP * (20 if counts["steps"] <= pace.WARM else 1)  # the first are slow
        one_step(run)

    def predicted(network, x, **rest):
        counts["examples"] += len(x)
        now[0] += CALL + EXAMPLE * len(x)
        return predict(network, x, **rest)

    monkeypatch.setattr(Run, "_one_step", step)
    monkeypatch.setattr(judge, "predict", predicted)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return now, counts


def recipe(task, **settings):
    return resolve(from_mapping({"batch_size": 50, "epochs": 4, "threads": 1, "width": 8, **settings}, task)[0], task)


def test_a_step_an_example_and_an_epoch_take_what_they_take(flowers, counted):
    found = measure_pace(flowers, recipe(flowers, validate_every=2), 1.0)
    assert found.step == pytest.approx(STEP)
    assert found.example == pytest.approx(EXAMPLE, rel=0.1)
    assert found.epoch == pytest.approx(
        6 * STEP + 120 * EXAMPLE / 2, rel=0.05
    )  # 300 / 50 steps; 120 to validate every 2nd time


@pytest.mark.parametrize("seconds", [0.0, 0.5, 3.0])
def test_it_takes_about_the_time_that_it_may_and_at_least_three_steps(flowers, counted, seconds):
    now, counts = counted
    measure_pace(flowers, recipe(flowers), seconds)
    assert counts["steps"] >= pace.WARM + 1
    assert now[0] <= 20 * STEP * pace.WARM + max(seconds / 2, STEP) + STEP + 2 * CALL + EXAMPLE * (2 + len(flowers.valid))
    if seconds:
        assert counts["steps"] * STEP > 0.4 * seconds


def test_a_network_that_predicts_slowly_is_asked_for_two_examples_only(flowers, counted, monkeypatch):
    now, counts = counted
    slow = judge.predict
    monkeypatch.setattr(judge, "predict", lambda *given, **more: (now.__setitem__(0, now[0] + 5.0), slow(*given, **more))[1])
    found = measure_pace(flowers, recipe(flowers), 0.5)
    assert counts["examples"] == 2
    assert found.example == pytest.approx(2.5, rel=0.01)


def test_it_leaves_nothing_behind(flowers):
    before, threads = recipe(flowers).id, torch.get_num_threads()
    measure_pace(flowers, recipe(flowers, threads=2), 0.0)
    assert torch.get_num_threads() == threads
    assert recipe(flowers).id == before
    one, two = Run(flowers, recipe(flowers)), Run(flowers, recipe(flowers))
    next(iter(one))
    measure_pace(flowers, recipe(flowers), 0.0)
    next(iter(two))
    for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True):
        assert torch.equal(a, b)


def two_outputs(inputs, outputs):
    return torch.nn.Linear(inputs[0], 2)


def test_a_network_that_does_not_fit_is_told(flowers):
    own, _ = from_mapping({"epochs": 1}, flowers, Recipe(model=Own.of(two_outputs)))
    with pytest.raises(ModelError, match=r"the network gave shape \[2, 2\] for input \[2, 5\]; it must give \[2, 3\]"):
        measure_pace(flowers, resolve(own, flowers), 0.0)


def test_a_search_begins_at_the_width_that_fits_and_stays_around_it(stripes, monkeypatch):
    """A network that was made narrower for want of time is the one that is trained, not the middle of the usual range."""
    width = "model.width"

    def too_wide(task, recipe, clock, **given):
        made = resolve(recipe, task).replace(width, 4).because(width, "wider ones leave no time")
        return made.replace(epochs=1.0).because("epochs", "there is no time for more")

    monkeypatch.setattr(planned, "fitted", too_wide)
    job, clock = from_words("optimize", "stripes", [], budget="60s"), Clock(Budget.parse("60s"))
    recipe, space, _ = planned.planned(job, stripes, clock, None, Recipe(), 1, "cpu", Plans, own=False)
    assert recipe.get(width) == 4
    dial = next(dial for dial in space if dial.path == width)
    assert (dial.range.low, dial.range.high) == (2, 8)


def test_a_network_that_writes_is_not_made_narrower_than_what_its_tokens_cost(monkeypatch):
    """Below 128 the scores of all tokens are most of the work, and halving the width gains nothing."""
    texts = [f"text {n} of {n % 7} and {n % 5}" for n in range(60)]
    task = prepare((texts, texts), kind="translation", tokens="word")
    slow = pace.Pace(step=100.0, example=1.0, epoch=1000.0)
    monkeypatch.setattr(pace, "_with_threads", lambda task, recipe, seconds, device, plans: (resolve(recipe, task), slow))
    wide = Recipe(model=GRUEncoderDecoder(width=512))
    assert pace.fitted(task, wide, Clock(Budget.parse("600s")), free_width=True).get("model.width") == 128
