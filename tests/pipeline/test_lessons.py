"""What a search teaches, held against functions of which it is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tuneful.core.measure import Measure
from tuneful.core.recipe import Recipe
from tuneful.core.trial import Point, Trial
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.lessons import _command, lessons

SPACE = {
    "lr": "1e-4..1e-1",
    "weight_decay": "1e-4..1e-1",
    "width": "16,32,64",
    "model": "mlp",
    "optimizer": "adamw",
    "epochs": 2,
}
LR, DECAY, WIDTH = "optimizer.lr", "optimizer.decay", "model.width"


@pytest.fixture
def asked(flowers):
    recipe, space = from_mapping(SPACE, flowers)
    return resolve(recipe, flowers), space


def tried(value_of, n: int = 80, seed: int = 0) -> list[Trial]:
    """Random trials; places of rate and decay in [0, 1], and the width, say what the value is."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        u, v, width = rng.uniform(), rng.uniform(), int(rng.choice([16, 32, 64]))
        value = float(value_of(u, v, width) + 0.01 * rng.standard_normal())
        point = Point(1, 1.0, Measure(value, value, value, 9), 1.0, 1.0, 0.1, 1.0)
        dials = {LR: 10 ** (-4 + 3 * u), DECAY: 10 ** (-4 + 3 * v), WIDTH: width}
        found.append(Trial(number, {}, dials, "", (point,), "done"))
    return found


def told(asked: tuple[Recipe, object], value_of, **how) -> dict:
    recipe, space = asked
    return lessons(
        tried(value_of, **how), space, recipe, False, "tuneful tune digits lr=1e-4..1e-1 width=16,32,64 --name first"
    )


def test_the_dial_that_decides_is_the_most_important_one(asked):
    found = told(asked, lambda u, v, width: -((u - 0.5) ** 2))["dials"]
    assert found[LR]["importance"] > 0.6
    assert found[LR]["importance"] > 3 * max(found[DECAY]["importance"], found[WIDTH]["importance"])
    assert all(0 <= one["low"] <= one["importance"] <= one["high"] <= 1 for one in found.values())


def test_importance_is_optunas(asked):
    import optuna

    trials = tried(lambda u, v, width: u + 0.3 * (width == 64))
    study = optuna.create_study(direction="maximize")
    span = optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)
    kinds = {LR: span, DECAY: span, WIDTH: optuna.distributions.CategoricalDistribution((16, 32, 64))}
    for one in trials:
        study.add_trial(optuna.trial.create_trial(params=dict(one.dials), distributions=kinds, value=one.last.value.value))
    wanted = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    recipe, space = asked
    found = lessons(trials, space, recipe, False)["dials"]
    for name, share in wanted.items():
        assert found[name]["importance"] == pytest.approx(share, abs=1e-9)


def test_best_values_at_an_end_are_told_and_the_next_space_goes_beyond(asked):
    found = told(asked, lambda u, v, width: u)
    assert found["dials"][LR]["edge"] == "high"
    assert len(found["warnings"]) == 1
    assert "lie at the high end of its range, 0.1" in found["warnings"][0]
    low, high = map(float, found["space"][LR].split(".."))
    assert low > 0.01
    assert high == pytest.approx(3.2, rel=0.02)  # half of three decades beyond


def test_a_space_whose_best_lies_inside_shrinks_around_it(asked):
    found = told(asked, lambda u, v, width: -abs(u - 0.5) - 2 * (width != 32))
    assert not found["warnings"]
    assert found["space"][WIDTH] == "32"
    low, high = (math.log10(float(end)) for end in found["space"][LR].removeprefix("log(").removesuffix(")").split(".."))
    assert -4 < low < -2.5 < high < -1


def test_what_a_recipe_does_not_take_is_not_proposed(flowers):
    recipe, space = from_mapping({**SPACE, "weight_decay": 0.1, "beta1": "0.5..0.99"}, flowers)
    trials = [
        Trial(
            one.number,
            {},
            {LR: one.dials[LR], WIDTH: one.dials[WIDTH], "optimizer.beta1": 0.5 + 0.49 * k},
            "",
            one.curve,
            "done",
        )
        for one in tried(lambda u, v, width: u)
        for k in [one.last.value.value]
        if 0 <= k <= 1
    ]
    found = lessons(trials, space, resolve(recipe, flowers), False)["dials"]["optimizer.beta1"]
    assert found["edge"] == "high"
    assert found["next"].endswith("0.99")
    assert "it can go no further" in found["warning"]


def test_dials_that_act_together_are_told_and_others_are_not(asked):
    ridge = told(asked, lambda u, v, width: -((u + v - 1) ** 2))["together"]
    assert [one["dials"] for one in ridge] == [[LR, DECAY]]
    assert ridge[0]["sign"] == -1
    assert told(asked, lambda u, v, width: -((u - 0.5) ** 2) - (v - 0.5) ** 2)["together"] == []


def test_the_command_searches_the_next_space(asked, flowers):
    found = told(asked, lambda u, v, width: u)
    words = found["command"].split()
    assert words[:3] == ["tuneful", "tune", "digits"]
    assert f"lr={found['space'][LR]}" in words
    assert "first" not in words
    ranges = dict(word.split("=", 1) for word in words[3:])
    _, again = from_mapping({**SPACE, **ranges}, flowers)
    assert {dial.path for dial in again} >= {LR}


def test_the_command_says_once_what_is_varied():
    found = _command(
        "tuneful optimize digits dropout=0.1..0.5 --budget 2min", {"regularizers.dropout.rate": "0.1..0.2", LR: "0.1..0.2"}
    )
    assert found == "tuneful tune digits dropout=0.1..0.2 --budget 2min optimizer.lr=0.1..0.2"


def test_few_trials_teach_nothing(asked):
    recipe, space = asked
    assert lessons(tried(lambda u, v, width: u, n=11), space, recipe, False) == {}
