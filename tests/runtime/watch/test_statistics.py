"""The tests of drift against scipy, against counting by hand, and against their own stated chances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from tuneful.runtime.watch import tails
from tuneful.runtime.watch.chi_squared import chi_squared, exact
from tuneful.runtime.watch.corrected import benjamini_hochberg, holm
from tuneful.runtime.watch.ks import counted, ks
from tuneful.runtime.watch.mmd import mmd
from tuneful.runtime.watch.psi import psi
from tuneful.runtime.watch.samples import Levels, Numbers
from tuneful.runtime.watch.wasserstein import wasserstein

floats = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.floats(0.05, 500), st.floats(0, 2000))
def test_the_gamma_tail_is_scipys(a, x):
    assert tails.gamma_tail(a, x) == pytest.approx(special.gammaincc(a, x), rel=1e-8, abs=1e-13)


@given(st.floats(0.01, 6))
def test_kolmogorovs_tail_is_scipys(t):
    assert tails.kolmogorov_tail(t) == pytest.approx(special.kolmogorov(t), rel=1e-9, abs=1e-14)


@given(st.lists(floats, min_size=1, max_size=40, unique=True), st.lists(floats, min_size=1, max_size=40, unique=True))
@settings(max_examples=60, deadline=None)
def test_ks_is_scipys_exact_test(a, b):
    found = ks(Numbers.of(np.array(a)), Numbers.of(np.array(b)))
    theirs = stats.ks_2samp(a, b, method="exact")
    assert found.statistic == pytest.approx(theirs.statistic, abs=1e-12)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-7, abs=1e-12)


def test_ks_counts_paths_as_they_are_counted_by_hand():
    n, m = 3, 4
    deals = list(itertools.combinations(range(n + m), n))
    for limit in range(1, n * m + 1):
        wide = 0
        for first in deals:
            i = j = worst = 0
            for at in range(n + m):
                i, j = (i + 1, j) if at in first else (i, j + 1)
                worst = max(worst, abs(i * m - j * n))
            wide += worst >= limit
        assert counted(limit / (n * m), n, m) == pytest.approx(wide / len(deals), abs=1e-12)


def test_ks_of_large_samples_is_scipys_limit():
    dice = np.random.default_rng(0)
    a, b = dice.normal(size=5000), dice.normal(0.03, size=3000)
    assert ks(Numbers.of(a), Numbers.of(b)).p == pytest.approx(stats.ks_2samp(a, b, method="asymp").pvalue, rel=0.05)


def test_quantiles_stand_for_all_values():
    dice = np.random.default_rng(1)
    a, b = dice.normal(size=20_000), dice.normal(0.1, size=500)
    whole, short = Numbers.of(a), Numbers(np.quantile(a, np.linspace(0, 1, 257)), 20_000)
    for test in (ks, psi, wasserstein):
        ours, all_of_them = test(short, Numbers.of(b)), test(whole, Numbers.of(b))
        assert ours.statistic == pytest.approx(all_of_them.statistic, abs=0.01), test
    assert ks(short, Numbers.of(b)).p == pytest.approx(ks(whole, Numbers.of(b)).p, rel=0.3)
    rounded = np.round(dice.normal(size=20_000))  # few values, each many times
    table = Numbers(np.quantile(rounded, np.linspace(0, 1, 1001)), 20_000)
    assert ks(table, Numbers.of(rounded)).statistic < 0.002


@given(st.lists(st.integers(20, 200), min_size=2, max_size=8), st.lists(st.integers(20, 200), min_size=8, max_size=8))
@settings(max_examples=60, deadline=None)
def test_chi_squared_is_scipys(a, b):
    b = b[: len(a)]
    before, now = ({f"l{k}": count for k, count in enumerate(side)} for side in (a, b))
    found = chi_squared(Levels(before), Levels(now))
    theirs = stats.chi2_contingency([a, b], correction=False)
    assert found.statistic == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-9)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-7, abs=1e-12)
    assert found.size == pytest.approx(stats.contingency.association([a, b], method="cramer"), abs=1e-9)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 60), st.integers(1, 60))
def test_the_exact_test_of_rare_levels_is_scipys_hypergeometric_law(k, missed, others, left):
    rare, drawn, total = k + missed, k + others, k + missed + others + left
    law = stats.hypergeom(total, rare, drawn)
    assert exact(k, rare, drawn, total) == pytest.approx(min(1, 2 * min(law.sf(k - 1), law.cdf(k))), rel=1e-7)


def test_a_level_never_seen_before_is_a_drift():
    assert chi_squared(Levels({"a": 500, "b": 500}), Levels({"a": 45, "b": 45, "new": 10})).p < 1e-9
    assert chi_squared(Levels({"a": 500, "b": 500}), Levels({"a": 50, "b": 49, "new": 1})).p > 0.05


@given(st.lists(floats, min_size=2, max_size=60), st.lists(floats, min_size=2, max_size=60))
@settings(max_examples=60, deadline=None)
def test_wassersteins_distance_is_scipys(a, b):
    scale = np.std(a) or np.abs(a).max() or 1.0
    assume(scale > 1e-100)  # in units of less, a distance is beyond all numbers
    found = wasserstein(Numbers.of(np.array(a)), Numbers.of(np.array(b)), permuted=1)
    assert found.statistic * scale == pytest.approx(stats.wasserstein_distance(a, b), rel=1e-6, abs=1e-6)


def test_wassersteins_null_is_scipys_permutation_test():
    dice = np.random.default_rng(2)
    a, b = dice.normal(size=60), dice.normal(0.45, size=40)
    ours = wasserstein(Numbers.of(a), Numbers.of(b), permuted=4999).p
    theirs = stats.permutation_test(
        (a, b), lambda x, y: stats.wasserstein_distance(x, y), n_resamples=1999, alternative="greater", rng=1
    ).pvalue
    assert ours == pytest.approx(theirs, abs=4 * np.sqrt(theirs / 1999) + 0.002)


def test_mmd_is_its_definition_and_its_null_is_that_of_permutation():
    dice = np.random.default_rng(3)
    x, y = dice.normal(size=(30, 3)), dice.normal(0.6, size=(20, 3))
    found = mmd(x, y, permuted=1999)
    z = (np.concatenate([x, y]) - x.mean(axis=0)) / x.std(axis=0)
    apart = ((z[:, None] - z[None]) ** 2).sum(axis=2)
    k = np.exp(-apart / (2 * np.median(apart[np.triu_indices(50, 1)])))
    by_hand = k[:30, :30].mean() + k[30:, 30:].mean() - 2 * k[:30, 30:].mean()
    assert found.statistic == pytest.approx(by_hand, rel=1e-9)
    drawn = []
    for _ in range(1000):
        at = dice.permutation(50)
        a, b = at[:30], at[30:]
        drawn.append(k[np.ix_(a, a)].mean() + k[np.ix_(b, b)].mean() - 2 * k[np.ix_(a, b)].mean())
    assert found.p == pytest.approx((1 + np.sum(np.array(drawn) >= by_hand)) / 1001, abs=0.02)


def test_mmd_sees_what_no_column_shows():
    dice = np.random.default_rng(4)
    x = dice.normal(size=(400, 2))
    y = dice.normal(size=400)
    together = np.stack([y, 0.9 * y + np.sqrt(1 - 0.81) * dice.normal(size=400)], axis=1)
    assert min(ks(Numbers.of(x[:, k]), Numbers.of(together[:, k])).p for k in (0, 1)) > 0.01
    assert mmd(x, together).p == 0.001


@pytest.mark.parametrize("test", [ks, psi, wasserstein])
@pytest.mark.parametrize(("n", "m"), [(300, 100), (2000, 500)])
def test_the_stated_chance_of_a_false_call_is_held(test, n, m):
    """At level 5 %, at most what 600 quiet pairs of samples can show by chance (99.9 %, exact binomial)."""
    dice, calls, count = np.random.default_rng(5), 0, 600 if test is not wasserstein else 200
    more = {"permuted": 99} if test is wasserstein else {}
    for _ in range(count):
        a, b = Numbers.of(dice.exponential(size=n)), Numbers.of(dice.exponential(size=m))
        calls += test(a, b, **more).p <= 0.05
    assert calls <= stats.binom.ppf(0.999, count, 0.05)
    assert calls >= stats.binom.ppf(0.001, count, 0.025)  # and it is not just deaf


def test_the_stated_chance_holds_for_categories_and_rows():
    dice, calls = np.random.default_rng(6), np.zeros(3)
    for _ in range(400):
        a, b = dice.multinomial(400, [0.5, 0.3, 0.15, 0.04, 0.01]), dice.multinomial(100, [0.5, 0.3, 0.15, 0.04, 0.01])
        before, now = (Levels({str(k): int(c) for k, c in enumerate(side)}) for side in (a, b))
        calls += [chi_squared(before, now).p <= 0.05, psi(before, now).p <= 0.05, 0]
    for _ in range(100):
        calls[2] += mmd(dice.normal(size=(60, 4)), dice.normal(size=(40, 4)), permuted=99).p <= 0.05
    assert (calls <= stats.binom.ppf(0.999, [400, 400, 100], 0.05)).all()


def test_the_custom_of_0_1_is_deaf_or_cries_wolf():
    """What the issue measured: PSI > 0.1 calls often at n = 100, and misses 0.1 sigma with many; the null does neither."""
    dice = np.random.default_rng(7)
    before = Numbers.of(dice.normal(size=20_000))
    few = [psi(before, Numbers.of(dice.normal(size=100))) for _ in range(300)]
    many = [psi(before, Numbers.of(dice.normal(0.1, size=5000))) for _ in range(50)]
    assert np.mean([one.size > 0.1 for one in few]) > 0.2
    assert np.mean([one.p <= 0.05 for one in few]) < 0.1
    assert max(one.size for one in many) < 0.1
    assert max(one.p for one in many) < 0.01


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_corrections_are_what_their_papers_say(p):
    order = np.argsort(p, kind="stable")
    by_hand = np.empty(len(p))
    worst = 0.0
    for rank, at in enumerate(order):
        worst = max(worst, (len(p) - rank) * p[at])
        by_hand[at] = min(1.0, worst)
    np.testing.assert_allclose(holm(p), by_hand)
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p), atol=1e-12)
    assert (holm(p) >= benjamini_hochberg(p) - 1e-12).all()


def test_nothing_is_said_of_nothing():
    empty, one = Numbers.of(np.array([])), Numbers.of(np.array([1.0, np.nan]))
    assert one.missing == 1
    for test in (ks, psi, wasserstein):
        assert test(empty, one).p == 1.0
        assert test(one, empty).p == 1.0
    assert chi_squared(Levels({}), Levels({"a": 3})).p == 1.0
    assert mmd(np.empty((0, 2)), np.ones((5, 2))).p == 1.0
