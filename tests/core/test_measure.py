"""Intervals and paired tests, held against scipy and against simulated truth."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tuneful.core.errors import TunefulError
from tuneful.core.measure import Measure, bootstrap, paired_difference, t_interval, wilson


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_wilson_is_scipys(pair, level):
    k, n = pair
    theirs = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    ours = wilson(k, n, level)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert ours.low <= ours.value <= ours.high


def test_t_interval_is_scipys():
    x = np.random.default_rng(0).normal(3, 2, size=17)
    theirs = stats.ttest_1samp(x, 0).confidence_interval(0.9)
    ours = t_interval(x, 0.9, unit="ms")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert (ours.n, ours.unit, ours.how) == (17, "ms", "Student's t 90 %")


def test_bootstrap_agrees_with_scipys_percentiles():
    x = np.random.default_rng(0).exponential(size=400)
    for ours, statistic in ((bootstrap(x, resamples=4000), np.mean), (bootstrap(x, np.median, 4000), np.median)):
        theirs = stats.bootstrap((x,), statistic, n_resamples=4000, method="percentile", rng=1).confidence_interval
        assert ours.value == pytest.approx(statistic(x))
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_bootstrap_repeats_itself_with_its_seed_and_not_with_another():
    x = np.random.default_rng(0).normal(size=50)
    assert bootstrap(x, seed=3) == bootstrap(x, seed=3)
    assert bootstrap(x, seed=3).low != bootstrap(x, seed=4).low


@pytest.mark.parametrize("make", [t_interval, bootstrap], ids=["t", "bootstrap"])
@pytest.mark.parametrize("n", [8, 60])
def test_intervals_of_a_mean_hold_the_truth_as_often_as_they_say(make, n):
    dice = np.random.default_rng(5)
    held = sum(m.low <= 2 <= m.high for m in (make(dice.normal(2, 3, size=n)) for _ in range(300)))
    assert 0.91 <= held / 300 <= 0.99


def test_wilson_holds_the_truth_near_the_edge():
    found = [wilson(int(k), 40) for k in np.random.default_rng(1).binomial(40, 0.97, size=500)]
    assert np.mean([m.low <= 0.97 <= m.high for m in found]) >= 0.92


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (wilson(0, 0), "no examples"),
        (t_interval([]), "no values"),
        (t_interval([1.0]), "one value has no interval"),
        (bootstrap([2.0]), "one value has no interval"),
        (bootstrap([1.0, math.nan, math.inf]), "2 of 3 values are not finite numbers"),
        (paired_difference([], []).difference, "no values"),
        (paired_difference([0.5], [0.25]).difference, "one pair has no interval"),
    ],
)
def test_what_cannot_be_measured_is_nan_and_says_why(found, words):
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.how.startswith("undefined")
    assert words in found.how
    assert json.loads(json.dumps(found.as_data(), allow_nan=False))["low"] is None
    assert Measure.from_data(found.as_data()).n == found.n


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_mcnemar_is_the_exact_binomial_test(wins, losses, ties):
    if wins + losses + ties == 0:
        return
    a, b = np.repeat([1, 0, 1], [wins, losses, ties]), np.repeat([0, 1, 1], [wins, losses, ties])
    found = paired_difference(a, b)
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert found.p == pytest.approx(expected)
    assert found.test == "exact McNemar"
    assert found.difference.low <= (wins - losses) / len(a) <= found.difference.high


def test_paired_t_is_scipys():
    dice = np.random.default_rng(0)
    a, b = dice.normal(1, 1, 12), dice.normal(0.5, 1, 12)
    theirs, ours = stats.ttest_rel(a, b), paired_difference(a, b)
    assert ours.p == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval()
    assert (ours.difference.low, ours.difference.high) == pytest.approx((interval.low, interval.high))


def test_paired_bootstrap_rejects_what_is_not_there_as_rarely_as_it_should():
    dice = np.random.default_rng(2)
    found = [paired_difference(x + dice.normal(size=80), x, resamples=500) for x in dice.normal(0, 5, size=(200, 80))]
    assert found[0].test == "paired bootstrap over examples"
    assert np.mean([f.p < 0.05 for f in found]) <= 0.1
    strong = paired_difference(np.arange(50.0) + 1 + 0.1 * dice.normal(size=50), np.arange(50.0))
    assert strong.p < 0.01
    assert strong.difference.value == pytest.approx(1, abs=0.1)


def test_equal_pairs_are_no_difference():
    for values in ([0, 1, 1], [0.5] * 10, [0.5] * 40):
        found = paired_difference(values, values)
        assert found.p == 1
        assert found.difference.value == 0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: wilson(3, 2), "there are 3 successes among 2; they must lie in"),
        (lambda: t_interval([1, 2], level=95), "the level is 95; it must be in"),
        (lambda: paired_difference([1, 2], [1]), "both must be lists of one length"),
        (lambda: paired_difference([1, 2], [1, 0], "mcnemar"), "McNemar's test needs values that are 0 or 1"),
        (lambda: bootstrap([1, 2, 3], lambda block, axis: block), "it must give one number a resample"),
    ],
)
def test_refusals_are_sentences(call, sentence):
    with pytest.raises(TunefulError, match=sentence):
        call()


def test_importing_it_loads_neither_numpy_nor_pydantic():
    code = (
        "import sys, tuneful.core.measure; print([m for m in ('numpy', 'scipy', 'pydantic', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
