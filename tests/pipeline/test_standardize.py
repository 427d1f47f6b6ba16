"""Series standardized one by one: where that is done, where not, that it is told, and that it travels in the graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

import tuneful
from tuneful.core.errors import RecipeError
from tuneful.pipeline.fronts import Standardize, for_baselines, front
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.series import chance
from tuneful.pipeline.words import from_words


def waves(level: float, n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two classes of waves at random levels and sizes; `level`: how much higher the second class lies."""
    dice = np.random.default_rng(seed)
    y = np.arange(n) % 2
    t = np.linspace(0, 1, 40)
    x = np.sin(2 * np.pi * (2 + y[:, None]) * t + dice.uniform(0, 6, (n, 1)))
    return (x * dice.uniform(1, 5, (n, 1)) + dice.normal(0, 3, (n, 1)) + level * y[:, None]).astype(np.float32), y


def told(task) -> str:
    return "\n".join(f.what for f in task.findings)


def test_levels_that_say_nothing_are_taken_off_and_levels_that_tell_the_class_are_kept():
    plain = prepare(waves(0.0), form="series")
    assert plain.schema["standardize"] is True
    assert "its level and size do not tell the class" in told(plain)
    assert isinstance(front(plain), Standardize)
    higher = prepare(waves(9.0), form="series")
    assert "standardize" not in higher.schema
    assert "which differ between the classes (p < 0.001)" in told(higher)
    x, y = waves(9.0)
    done = prepare((stats.zscore(x, axis=1), y), form="series")
    assert "standardize" not in done.schema
    assert "mean 0 and deviation 1 already" in told(done)


def test_the_user_decides():
    assert "standardize" not in prepare(waves(0.0), form="series", standardize=False).schema
    assert prepare(waves(9.0), form="series", standardize=True).schema["standardize"] is True
    assert from_words("train", "digits", ["standardize=true"]).data.standardize is True
    with pytest.raises(RecipeError, match="standardize is for time series and sounds; these data are of kind vector"):
        prepare(waves(0.0), standardize=True)


def test_it_is_scipy_s_zscore_and_a_flat_channel_is_zero():
    x = np.random.default_rng(0).normal(3, 5, (4, 2, 30)).astype(np.float32)
    x[1, 0] = 7.0
    ours = Standardize()(torch.from_numpy(x)).numpy()
    assert not ours[1, 0].any()
    wanted = stats.zscore(np.delete(x, 1, axis=0), axis=2)
    np.testing.assert_allclose(np.delete(ours, 1, axis=0), wanted, atol=1e-4)
    np.testing.assert_allclose(for_baselines(Standardize(), x), ours)


def test_the_chance_is_the_f_test_s():
    dice = np.random.default_rng(0)
    values, y = dice.normal(size=30), np.arange(30) % 3
    assert chance(values, y) == pytest.approx(stats.f_oneway(*(values[y == k] for k in range(3))).pvalue)
    assert chance(np.ones(30), y) == 1.0
    assert chance(y.astype(float), y) == 0.0


def test_a_shipped_model_standardizes_by_itself():
    x, y = waves(0.0)
    result = tuneful.train(
        (x, y), form="series", model="resnet1d", width=4, epochs=2, threads=1, augments="noise,scaling,magnitude_warp"
    )
    model = tuneful.load(result.artifact.folder)
    np.testing.assert_allclose(model.probabilities(x), model.probabilities(5 * x + 100), atol=1e-3)
