"""Several objectives: dominance as Optuna has it, limits that are read and kept, rungs that let the front go on, mixtures for samplers of one value."""

import math
from dataclasses import replace

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.study._multi_objective import _fast_non_domination_rank

from tuneful.core.errors import RecipeError
from tuneful.core.measure import Measure
from tuneful.core.task import Objective
from tuneful.core.tradeoff import Limit, crowding, front, mixed, parts, sorted_by_dominance
from tuneful.core.trial import Point, Trial
from tuneful.techniques.search import ASHA

BOTH = Objective("accuracy", "max", also=("latency", "size"))


def trial(number, value, latency, size, state="paused", epochs=1):
    point = Point(epochs, float(epochs), Measure(value, value, value, 100), 1.0, 1.0, 0.1, 1.0)
    costs = {"latency": {"value": latency}, "size": {"value": size}}
    return Trial(number, {}, {}, "", (point,), state, tags={"costs": costs})


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), m=st.integers(1, 4), grid=st.booleans())
def test_fronts_are_optunas(seed, n, m, grid):
    dice = np.random.default_rng(seed)
    values = dice.integers(0, 4, (n, m)).astype(float) if grid else dice.random((n, m))
    ranks = _fast_non_domination_rank(values)
    order = sorted_by_dominance(values)
    assert sorted(order) == list(range(n))
    assert [ranks[k] for k in order] == sorted(ranks)
    assert sorted(front(values)) == np.flatnonzero(ranks == 0).tolist()


def test_of_a_front_the_ends_and_the_sparse_come_first():
    line = np.array([[0.0, 10.0], [1.0, 9.0], [1.1, 8.9], [5.0, 5.0], [10.0, 0.0]])
    far = crowding(line)
    assert far[0] == far[4] == math.inf
    assert far[3] == max(far[1:4])
    assert sorted_by_dominance(line)[:3] == [0, 4, 3]


@pytest.mark.parametrize(
    ("text", "name", "most"),
    [
        ("latency<5ms", "latency", 5.0),
        ("latency <= 0.5 s", "latency", 500.0),
        ("size<512kB", "size", 0.512),
        ("energy<1J", "energy", 1e3),
    ],
)
def test_limits_are_read(text, name, most):
    assert Limit.parse(text) == Limit(name, pytest.approx(most))


@pytest.mark.parametrize("text", ["latency<5", "latency>5ms", "accuracy<0.9x", "size<2ms", ""])
def test_what_is_no_limit_is_refused_with_the_units(text):
    with pytest.raises(RecipeError, match=r'it must be a limit such as "latency<5ms" .latency in ms or s or us; size in MB'):
        Limit.parse(text)


def test_objectives_are_a_metric_and_costs():
    assert parts(["accuracy", "latency", "size"]) == ("accuracy", ("latency", "size"))
    assert parts(["size"]) == (None, ("size",))
    for wrong in (["accuracy"], ["accuracy", "auroc", "size"], ["size", "size"]):
        with pytest.raises(RecipeError, match="they must be one metric and some of latency, size, energy, each once"):
            parts(wrong)


def test_at_a_rung_those_go_on_that_no_other_dominates():
    trials = [
        trial(0, 0.9, 5.0, 5.0),
        trial(1, 0.8, 1.0, 1.0),
        trial(2, 0.7, 2.0, 2.0),
        trial(3, 0.6, 3.0, 3.0),
        trial(4, 0.5, 4.0, 4.0),
        trial(5, 0.4, 6, 6),
    ]
    went = set()
    for _ in range(2):
        step = ASHA().next(trials, BOTH, 9.0)
        went.add(step.trial)
        trials[step.trial] = replace(
            trials[step.trial], state="running", curve=(*trials[step.trial].curve, trial(0, 0.5, 0, 0, epochs=3).curve[0])
        )
    assert went == {0, 1}
    assert ASHA().next(trials, BOTH, 9.0).trial is None
    assert (
        ASHA().next([trial(n, v, 5 - n, 1) for n, v in enumerate((0.1, 0.2, 0.3))], Objective("accuracy", "max"), 9.0).trial
        == 2
    )


def test_a_sampler_of_one_value_sees_mixtures_of_all():
    trials = {n: trial(n, v, cost, 1.0) for n, (v, cost) in enumerate([(0.9, 10.0), (0.8, 1.0), (0.5, 0.5), (0.3, 20.0)])}
    rows = [
        optuna.trial.create_trial(state=optuna.trial.TrialState.PRUNED, intermediate_values={1: t.last.value.value})
        for t in trials.values()
    ]
    for number, row in enumerate(rows):
        row.number = number
    winners = set()
    for seed in range(40):
        shown = mixed(rows, trials, BOTH, seed)
        values = [row.intermediate_values[1] for row in shown]
        assert shown == mixed(rows, trials, BOTH, seed)
        assert max(values) == max(values[:3])  # the dominated one is never the best
        winners.add(int(np.argmax(values)))
    assert winners >= {0, 2}
    assert [row.intermediate_values[1] for row in rows] == [0.9, 0.8, 0.5, 0.3]  # the study's own stay
