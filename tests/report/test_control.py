"""What random search would have reached, held against drawing."""

from __future__ import annotations

import itertools
import random
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


def test_a_search_that_draws_nothing_better_than_chance_is_not_called_faster():
    """Every trial is as good as a draw: the first ones are draws of its own, and no luck of theirs may make it look fast."""
    rng = random.Random(0)
    lows: list[float] = []
    middles: list[float] = []
    for _ in range(40):
        trials = [trial(n, rng.random(), AT_RANDOM if n < 8 or n % 10 == 9 else "likely to be good") for n in range(60)]
        found = control(story(*trials))
        assert found is not None
        lows.append(found.speedup.low)
        middles.append(found.speedup.value)
    assert sum(low > 1 for low in lows) <= 2
    assert 0.4 < sorted(middles)[20] < 2.5


def test_a_search_that_is_faster_is_told_so():
    rng = random.Random(1)
    trials = [trial(n, rng.random() * 0.5, AT_RANDOM) for n in range(3)] + [trial(n, 0.6) for n in range(3, 6)]
    trials += [trial(n, rng.random() * 0.5 if n % 2 else 0.7, AT_RANDOM if n % 2 else "likely") for n in range(6, 46)]
    found = control(story(*trials))
    assert found is not None
    assert found.draws == 23
    assert found.speedup.low > 1
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
    assert "which so few trials do not tell from 1" in told
