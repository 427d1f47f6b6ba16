"""What random search would have reached, held against drawing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from statistics import fmean

import pytest

from tuneful.core.measure import Measure
from tuneful.core.trial import AT_RANDOM, Point, Trial
from tuneful.report.control import control, expected
from tuneful.report.search import search
from tuneful.report.story import Story


def trial(number: int, value: float, because: str = "likely to be good") -> Trial:
    point = Point(10, 1.0, Measure(value, value - 0.1, value + 0.1, 50), 1.0, 1.0, 0.1, 1.0)
    return Trial(number, {}, {"optimizer.lr": 0.1 * (number + 1)}, because, (point,), "done", "all epochs are done", 1.0)


def story(*trials: Trial, direction: str = "max") -> Story:
    return Story("s", trials=trials, task={"objective": {"metric": "accuracy", "direction": direction}})


def test_the_expected_best_is_the_mean_over_all_subsets():
    values = [0.3, 0.9, 0.5, 0.5, 0.7]
    for k, found in enumerate(expected(values), 1):
        assert found == pytest.approx(fmean(max(some) for some in itertools.combinations(values, k)))


def test_the_speed_up_is_what_draws_took_over_what_the_search_took():
    trials = [trial(n, 0.5 + 0.01 * n, f"{AT_RANDOM}; the estimate begins after 4 trials") for n in range(4)]
    trials += [
        trial(4, 0.8),
        trial(5, 0.9),
        trial(6, 0.6, f"{AT_RANDOM}: the control arm"),
        trial(7, 0.7, AT_RANDOM),
        trial(8, 0.95),
    ]
    found = control(story(*trials))
    assert found is not None
    assert found.draws == 6
    assert found.expected[-1] == pytest.approx(0.7)
    assert found.reached == 5
    assert found.speedup == pytest.approx(6 / 5)
    assert all(low <= value <= high + 1e-12 for low, value, high in zip(found.low, found.expected, found.high, strict=True))


def test_smaller_values_are_better_where_the_task_says_so():
    trials = [trial(n, 1.0 - 0.1 * n, AT_RANDOM) for n in range(4)] + [trial(4, 0.2)]
    found = control(story(*trials, direction="min"))
    assert found is not None
    assert found.expected[-1] == pytest.approx(0.7)
    assert found.search[-1] == (5, 0.2)
    assert found.low[0] <= found.expected[0] <= found.high[0]


def test_nothing_is_said_of_few_draws_or_where_all_are_draws():
    draws = [trial(n, 0.5, AT_RANDOM) for n in range(6)]
    assert control(story(*draws)) is None
    assert control(story(*draws[:3], trial(7, 0.6))) is None


def test_a_draw_that_failed_has_no_value_to_give():
    trials = [trial(n, 0.5, AT_RANDOM) for n in range(5)] + [trial(5, 0.6)]
    trials[0] = replace(trials[0], state="failed")
    found = control(story(*trials))
    assert found is not None
    assert found.draws == 4


def test_the_report_draws_it():
    trials = [trial(n, 0.5 + 0.02 * n, AT_RANDOM) for n in range(5)] + [trial(5, 0.9)]
    told = "".join(str(piece) for piece in search(story(*trials)))
    assert "Against random search" in told
    assert "times as fast as random search" not in told  # six trials for what five draws came to
    assert "it was not faster" in told
