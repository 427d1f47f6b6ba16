"""The noise scale where it is known: a loss whose gradient is the weights minus the example."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline.noise_scale import noise_scale, recipe_noise_scale
from tuneful.techniques.models import MLP
from tuneful.techniques.optimizers import SGD


class Point(nn.Module):
    """w; the loss 1/2 |w - x|^2 has the gradient w - x, its covariance that of x."""

    def __init__(self, w: list[float]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))
        self.unused = nn.Parameter(torch.ones(3))


def drawn(net: Point, batch: int, deviation: float, seed: int) -> object:
    dice = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        x = deviation * torch.randn(batch, len(net.w), generator=dice)
        return 0.5 * (net.w - x).square().sum(1).mean()

    return loss


@pytest.mark.parametrize(("w", "deviation", "batch"), [([1.0, 2.0], 3.0, 4), ([0.5] * 20, 1.0, 1), ([2.0] * 5, 0.3, 16)])
def test_is_trace_over_square(w: list[float], deviation: float, batch: int):
    exact = deviation**2 * len(w) / sum(v * v for v in w)
    seen = [noise_scale(net := Point(w), drawn(net, batch, deviation, seed), batch, 128) for seed in range(40)]
    inside = sum(one.low <= exact <= one.high for one in seen)
    assert sum(one.value for one in seen) / 40 == pytest.approx(exact, rel=0.1)
    assert inside >= 34  # 38 of 40 are expected
    assert seen[0].unit == "examples"


def test_does_not_depend_on_the_size_of_the_batches_it_is_measured_with():
    found = [
        noise_scale(net := Point([1.0] * 8), drawn(net, batch, 2.0, 0), batch, 4096 // batch).value for batch in (2, 16, 64)
    ]
    assert found == pytest.approx([4.0] * 3, rel=0.25)


def test_says_so_when_the_gradient_is_lost_in_noise_and_leaves_no_gradients():
    net = Point([0.0, 0.0])
    found = noise_scale(net, drawn(net, 4, 1.0, 0), 4, 16)
    assert math.isinf(found.high) or found.high > 100
    assert net.w.grad is None
    with pytest.raises(RecipeError, match="needs 16 batches or more"):
        noise_scale(net, drawn(net, 4, 1.0, 0), 4, 8)


def test_a_recipe_that_ends_before_is_told_and_one_that_learns_has_a_scale(flowers):
    learns = Recipe(model=MLP(width=8), batch_size=16, epochs=20.0, threads=1, seed=1)
    found = recipe_noise_scale(flowers, learns, after=20, batches=32)
    assert (found.n, found.unit) == (32, "examples")
    assert found.value > 0
    assert recipe_noise_scale(flowers, learns, after=20, batches=32) == found
    wild = learns.replace(optimizer=SGD(lr=1e30))
    with pytest.raises(RecipeError, match="was to be taken after 40 steps, and the run ended"):
        recipe_noise_scale(flowers, wild, after=40)
