"""Forecasts of a search, held against searches that were simulated to their end."""

from __future__ import annotations

import numpy as np
import pytest

from tuneful.core.errors import RecipeError
from tuneful.core.outlook import Least, outlook


def test_the_best_of_trials_like_the_last_ones_lies_in_the_interval():
    rng = np.random.default_rng(0)
    inside, off = 0, []
    for _ in range(200):
        values = 0.9 + 0.02 * rng.standard_normal(60)
        found = outlook(values[:30], False, 30)
        assert found is not None
        end = values.max()
        inside += found.low[-1] <= end <= found.high[-1] + 1e-12
        off.append(found.expected[-1] - end)
    assert inside >= 170
    assert abs(np.mean(off)) < 0.005


def test_the_gain_is_that_of_the_next_trial():
    rng = np.random.default_rng(1)
    told, came = [], []
    for _ in range(400):
        values = rng.standard_normal(21)
        found = outlook(values[:20], True)
        assert found is not None
        told.append(found.gain)
        came.append(max(0.0, values[:20].min() - values[20]))
    assert np.mean(told) == pytest.approx(np.mean(came), rel=0.5)


def test_smaller_and_larger_values_mirror_each_other():
    values = np.random.default_rng(2).standard_normal(30)
    up, down = outlook(values, False, 5), outlook(-values, True, 5)
    assert up is not None
    assert down is not None
    assert up.gain == down.gain
    np.testing.assert_allclose(up.expected, -np.array(down.expected))
    assert down.low[-1] <= down.expected[-1] <= down.high[-1]


def test_few_values_say_nothing_and_equal_ones_promise_nothing():
    assert outlook([0.5] * 9, False) is None
    found = outlook([0.5] * 12, False, 3)
    assert found is not None
    assert found.gain == 0
    assert found.expected == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("text", "best", "least"), [("gain<0.1%/min", 0.9, 0.0009), ("gain < 1%/h", 0.6, 0.0001), ("GAIN<.5/s", 9.0, 30.0)]
)
def test_a_least_gain_is_read(text, best, least):
    assert Least.parse(text).of(best) == pytest.approx(least)


@pytest.mark.parametrize("text", ["0.1%", "gain<0.1%", "gain>1/min", "gain<x/min", "gain<-1/min"])
def test_another_form_is_refused_with_one_that_is_right(text):
    with pytest.raises(RecipeError, match=r"such as gain<0\.1%/min"):
        Least.parse(text)
