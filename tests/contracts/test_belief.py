"""The model of learning curves, held against scikit-learn's Gaussian process, numeric differences and curves whose end is known."""

import math

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from tuneful.techniques.search import belief
from tuneful.techniques.search.belief import Belief, Scales, Seen, fit, picked, thinned
from tuneful.techniques.search.rated import lows


def seen_of(x, curves, failed, end):
    found = picked([lows(one) for one in curves], failed, end)
    return Seen(x[found.kept], found.of, found.s, found.y), found.kept


def invented(count, dials=3, seed=0):
    """Curves that fall from 1 with log t, the faster the nearer the first dial is to 0.4; and where they end at 50 points."""
    dice = np.random.default_rng(seed)
    x = dice.random((count, dials))
    fall = 0.2 * (1 - np.abs(x[:, 0] - 0.4))
    whole = 1 - fall[:, None] * np.log1p(np.arange(1, 51)) + 0.003 * dice.normal(size=(count, 50))
    return x, whole, [3, 5, 9, 20]


def test_with_one_point_a_trial_it_is_scikit_learns_gaussian_process():
    dice = np.random.default_rng(1)
    x, y, new = dice.random((12, 2)), dice.normal(size=12), dice.random((5, 2))
    tiny = math.log(1e-6)
    scales = Scales(np.array([math.log(0.4), math.log(0.9), 0.0, tiny, math.log(1.3), tiny, tiny, math.log(0.1)]))
    ours = Belief(Seen(x, np.arange(12), np.zeros(12), y), scales, 0.0).of_new(new)
    kernel = ConstantKernel(1.0) + ConstantKernel(1.3**2) * Matern([0.4, 0.9], nu=2.5) + WhiteKernel(0.01)
    peer = GaussianProcessRegressor(kernel, optimizer=None, alpha=1e-8).fit(x, y)
    mean, spread = peer.predict(new, return_std=True)
    np.testing.assert_allclose(ours[0], mean, atol=1e-6)
    np.testing.assert_allclose(ours[1], np.sqrt(spread**2 - 0.01), atol=1e-6)  # theirs is of a value with its noise


def test_the_gradients_of_the_fit_are_those_of_numeric_differences(monkeypatch):
    x, whole, lengths = invented(6)
    seen, _ = seen_of(x, [list(one[: lengths[k % 4]]) for k, one in enumerate(whole)], [False] * 6, 50)
    caught = []
    real = scipy.optimize.minimize
    monkeypatch.setattr(
        scipy.optimize, "minimize", lambda loss, start, **more: caught.append(loss) or real(loss, start, **more)
    )
    fit(seen)
    for seed in range(3):
        at = Scales.prior(3)[0] + 0.4 * np.random.default_rng(seed).normal(size=9)
        numeric = approx_fprime(at, lambda theta: caught[0](theta)[0], 1e-6)
        np.testing.assert_allclose(caught[0](at)[1], numeric, atol=1e-3 * np.abs(numeric).max())


def test_it_foretells_ends_from_beginnings_better_than_the_last_value_does():
    x, whole, lengths = invented(40)
    curves = [list(one[: lengths[k % 4]]) for k, one in enumerate(whole)]
    seen, kept = seen_of(x, curves, [False] * 40, 50)
    mean = Belief(seen, fit(thinned(seen)), math.log(50)).of_trials
    ends = whole.min(1)[kept]
    foretold = np.corrcoef(np.argsort(np.argsort(mean)), np.argsort(np.argsort(ends)))[0, 1]
    last = np.array([min(curves[k]) for k in kept])
    naive = np.corrcoef(np.argsort(np.argsort(last)), np.argsort(np.argsort(ends)))[0, 1]
    assert foretold > 0.9
    assert foretold > naive + 0.3


def test_a_trial_that_failed_and_one_that_exploded_do_not_bend_the_scale():
    x, whole, _ = invented(8)
    curves = [list(one[:5]) for one in whole]
    curves[0], curves[1] = [1e34, 1e34], [0.99, math.nan]
    seen, kept = seen_of(x, curves, [False, True, *[False] * 6], 50)
    assert np.isfinite(seen.y).all()
    assert np.abs(seen.y).max() < 6
    assert kept[-1] == 1


@pytest.mark.parametrize("count", [10, 200, 1000])
def test_no_more_points_are_seen_than_stated(count):
    x, whole, lengths = invented(count)
    seen, _ = seen_of(x, [list(one[: lengths[k % 4]]) for k, one in enumerate(whole)], [False] * count, 50)
    assert len(seen.y) <= belief.POINTS
    thin = thinned(seen)
    assert len(thin.y) <= 1.5 * belief.FITTED
    assert set(thin.of) == set(range(len(thin.x)))


def test_the_lowest_is_found_without_a_close_look_at_all():
    x, whole, lengths = invented(60, seed=3)
    seen, _ = seen_of(x, [list(one[: lengths[k % 4]]) for k, one in enumerate(whole)], [False] * 60, 50)
    model, dice = Belief(seen, fit(thinned(seen)), math.log(50)), np.random.default_rng(4)
    assert len(seen.y) > belief.FIRST
    for bold in (0.0, 0.3, 1.0, 5.0):
        new = dice.random((200, 3))
        mean, spread = model.of_new(new)
        assert model.lowest(new, bold) == (mean - bold * spread).argmin()
