"""Augments of series: scaling and magnitude warp against their formulas and scipy's spline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from tuneful.core.errors import RecipeError
from tuneful.techniques.augments import MagnitudeWarp, Scaling
from tuneful.techniques.augments.magnitude_warp import spline


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_scaling_multiplies_each_channel_by_one_number_near_1():
    x = torch.randn(500, 3, 20, generator=dice(1))
    y, _ = Scaling(std=0.1).apply(x, torch.zeros(500, 2), dice())
    factor = y / x
    torch.testing.assert_close(factor, factor[..., :1].expand_as(x), rtol=1e-4, atol=1e-5)
    assert factor.mean() == pytest.approx(1, abs=0.01)
    assert factor[..., 0].std() == pytest.approx(0.1, abs=0.01)


def test_magnitude_warp_is_scipy_s_spline_through_heights_of_the_deviation_it_names():
    x = torch.ones(400, 2, 50)
    y, _ = MagnitudeWarp(std=0.2, knots=4).apply(x, torch.zeros(400, 2), dice())
    at = np.linspace(0, 49, 6)
    heights = np.random.default_rng(0).normal(size=6)
    wanted = CubicSpline(at, heights)(np.arange(50))
    np.testing.assert_allclose(heights @ spline(6, 50).numpy(), wanted, atol=1e-5)
    assert y[..., 0].std() == pytest.approx(0.2, abs=0.02)
    assert y[..., -1].std() == pytest.approx(0.2, abs=0.02)
    assert y.mean() == pytest.approx(1, abs=0.02)
    assert (y[..., 1:] - y[..., :-1]).abs().max() < 0.3  # smooth


@pytest.mark.parametrize("augment", [Scaling(), MagnitudeWarp()])
def test_images_are_refused(augment):
    with pytest.raises(RecipeError, match="changes series; it was given a batch of shape"):
        augment.draw((2, 3, 8, 8), dice())
