"""Alarms in sequence: fair bets, the window of ADWIN against looking at every cut, and stated rates held over quiet runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from tuneful.runtime.watch import betting, page_hinkley, several
from tuneful.runtime.watch.adwin import EVERY, Adwin
from tuneful.runtime.watch.betting import Betting
from tuneful.runtime.watch.page_hinkley import PageHinkley


def test_every_bet_is_fair():
    for k in range(betting.BETS):
        won = sum(
            integrate.quad(lambda p, k=k: betting.bets(p)[k], low, high, limit=200)[0] for low, high in ((0, 0.5), (0.5, 1))
        )
        assert won == pytest.approx(1, abs=2e-2 if k < 8 else 1e-2), k
        assert min(betting.bets(p)[k] for p in np.linspace(0, 1, 101)) >= 0


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_rank_is_that_of_counting(scores, seed):
    bag, dice = [0.2, 0.5, 0.5], np.random.default_rng(seed)
    watch, money = Betting(bag, seed), np.zeros(betting.BETS)
    for score in scores:
        below, same = sum(one < score for one in bag), sum(one == score for one in bag)
        money = (money + 0.01) * betting.bets((below + dice.random() * (same + 1)) / (len(bag) + 1))
        bag.append(score)
        alarm = watch.step(score, 0.01)
        assert alarm == (money.mean() >= 1)
        money = np.zeros(betting.BETS) if alarm else money
        assert watch.level == pytest.approx(money.mean(), rel=1e-9, abs=1e-300)


def first(watch, scores, stake):
    return next(iter(watch.feed(np.asarray(scores), np.full(len(scores), stake))[1]), None)


def test_betting_holds_its_rate_however_small_the_reference():
    """300 quiet runs of 400 examples at a stated rate of 5 % in 400, with a reference of 20 and scores with ties."""
    dice, false = np.random.default_rng(0), 0
    for run in range(300):
        scores = np.round(dice.normal(size=420), 1)
        false += first(Betting(scores[:20], run), scores[20:], 0.05 / 400) is not None
    assert false <= stats.binom.ppf(0.999, 300, 0.05)


def test_betting_finds_a_shift_late_as_soon_as_early():
    delays = {}
    for quiet in (0, 2000):
        told = []
        for run in range(10):
            dice = np.random.default_rng(run)
            watch = Betting(dice.normal(size=1000), run)
            assert first(watch, dice.normal(size=quiet), 1e-5) is None
            told.append(first(watch, dice.normal(1.0, size=1000), 1e-5))
        delays[quiet] = np.median(told)
    assert delays[0] < 60
    assert delays[2000] < 60


@pytest.mark.parametrize("change", [lambda z: 2.5 * z, lambda z: 0.3 * z, lambda z: z - 1, lambda z: z + 0.5])
def test_betting_finds_what_is_wider_narrower_lower_higher(change):
    dice = np.random.default_rng(1)
    assert first(Betting(dice.normal(size=2000)), change(dice.normal(size=1000)), 1e-5) is not None


def test_a_score_that_is_no_number_is_passed_over():
    watch = Betting([0.0, 1.0])
    assert not watch.step(math.nan, 0.1)
    assert watch.level == pytest.approx(0.1)
    assert not Adwin().step(math.nan, 0.1)
    assert not PageHinkley(np.arange(10.0), 0.1, 100).step(math.nan)


class EveryCut:
    """ADWIN as its paper tells it first: all scores kept, every cut looked at."""

    def __init__(self, variance):
        self.variance = variance
        self.window = []

    def step(self, score, delta):
        self.window.append(score)
        cut = False
        while self.differs(delta):
            self.window.pop(0)
            cut = True
        return cut

    def differs(self, delta):
        n, told = len(self.window), np.cumsum(self.window)
        at = np.arange(1, n)
        gap = np.abs(told[:-1] / at - (told[-1] - told[:-1]) / (n - at))
        spread, b, log = 1 / at + 1 / (n - at), np.log(2 * n / delta) / (3 * np.minimum(at, n - at)), np.log(2 * n / delta)
        bernstein = b + np.sqrt(b**2 + 2 * self.variance * spread * log)
        return bool((gap >= np.minimum(np.sqrt(np.log(4 * n / delta) * spread / 2), bernstein)).any())


@pytest.mark.parametrize("variance", [0.25, 0.16])
def test_adwin_in_buckets_cuts_where_all_cuts_would(variance):
    dice = np.random.default_rng(2)
    scores = np.concatenate([dice.random(1000) < 0.2, dice.random(600) < 0.6]).astype(float)
    short, whole = Adwin(variance), EveryCut(variance)
    ours = next(at for at, score in enumerate(scores) if short.step(score, 0.001 / EVERY))
    theirs = next(at for at, score in enumerate(scores) if whole.step(score, 0.001))
    assert theirs <= ours <= theirs + EVERY + 20
    for score in scores[ours + 1 :]:
        short.step(score, 0.001 / EVERY)
    assert short.count < 700
    assert short.mean == pytest.approx(0.6, abs=0.06)


@given(st.lists(st.floats(0, 1), max_size=300))
@settings(max_examples=30, deadline=None)
def test_adwin_keeps_the_sum_of_its_window(scores):
    watch = Adwin()
    for score in scores:
        watch.step(score, 0.0)
    assert watch.count == len(scores)
    if scores:
        assert watch.mean == pytest.approx(np.mean(scores), abs=1e-9)


def test_adwin_is_quiet_while_nothing_changes():
    dice, false = np.random.default_rng(3), 0
    for _ in range(60):
        watch = Adwin(1 / 12)
        false += any(watch.step(score, 0.1 / 1000) for score in dice.random(1000))
    assert false <= stats.binom.ppf(0.999, 60, 0.1)


def test_page_hinkley_holds_its_rate_and_finds_the_shift():
    dice, false, delays = np.random.default_rng(4), 0, []
    for run in range(60):
        watch = PageHinkley(dice.exponential(size=500), 0.05, 2000, seed=run)
        false += any(watch.step(score) for score in dice.exponential(size=2000))
        delays.append(next((at for at, z in enumerate(dice.exponential(size=500) + 1) if watch.step(z)), 500))
    assert false <= stats.binom.ppf(0.999, 60, 0.05)
    assert np.median(delays) < 60


def test_page_hinkleys_sums_are_those_of_the_largest_partial_sum():
    dice = np.random.default_rng(5)
    reference, scores = dice.normal(size=100), dice.normal(size=200)
    watch = PageHinkley(reference, 0.01, 1000)
    watch.threshold = math.inf
    z = (scores - reference.mean()) / reference.std() - 0.25
    sums = np.concatenate([[0.0], np.cumsum(z)])
    for at, score in enumerate(scores):
        watch.step(score)
        assert watch._up == pytest.approx(max(sums[at + 1] - sums[: at + 2]), abs=1e-9)


def test_smaller_rates_ask_for_higher_thresholds():
    told = [
        page_hinkley.calibrated(np.random.default_rng(6).normal(size=300), rate, 5000, 0.25) for rate in (0.2, 0.05, 0.001)
    ]
    assert told == sorted(told)


def test_k_of_n_windows_hold_their_rate_though_they_share_a_reference():
    dice, false = np.random.default_rng(7), 0
    at = several.level(0.1, 20, 2)
    for _ in range(120):
        reference = dice.normal(size=100)
        p = [stats.ttest_ind(reference, dice.normal(size=100)).pvalue for _ in range(20)]
        false += bool(several.alarms([one <= at for one in p], 2, 5))
    assert false <= stats.binom.ppf(0.999, 120, 0.1)


def test_an_alarm_is_told_once_until_it_ends():
    differs = [True, True, True, True, False, False, False, True, False, True]
    assert several.alarms(differs, 2, 3) == [1, 9]
    assert several.alarms(differs, 1, 1) == [0, 7, 9]
    assert several.alarms([], 2, 3) == []
