"""The range test on losses whose highest rate is known, and what it leaves behind: nothing."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuneful.core.errors import RecipeError
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.rate_range import own_rate_range, rate_range
from tuneful.pipeline.train import Run


@pytest.mark.parametrize("curvature", [0.5, 20.0, 3000.0])
def test_the_high_end_of_a_parabola_is_where_gradient_descent_runs_away(curvature: float):
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 3.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    found = own_rate_range(net, optimizer, lambda: 0.5 * curvature * net.weight.square().sum(), high=1e3)
    limit = 2 / curvature  # above it every step overshoots by more than it came from
    assert found.low < found.high
    assert limit / 30 < found.high < limit * 10  # the sweep passes the limit before the loss has grown
    assert found.best < limit
    finite = {rate: loss for rate, loss in found.tried if math.isfinite(loss)}
    assert finite[found.best] == min(finite.values())


def test_leaves_network_optimizer_and_chance_as_they_were():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)

    def loss() -> torch.Tensor:
        x = torch.randn(16, 4)
        return F.mse_loss(net(x), x.sum(1, keepdim=True))

    for _ in range(5):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    net.eval()
    before = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    chance = torch.get_rng_state()
    found = own_rate_range(net, optimizer, loss, steps=60, confirm=20)
    assert found.low < found.high
    assert torch.equal(torch.get_rng_state(), chance)
    assert not net.training
    assert all(torch.equal(value, before[0][name]) for name, value in net.state_dict().items())
    assert optimizer.state_dict()["param_groups"] == before[1]["param_groups"]
    for key, entry in optimizer.state_dict()["state"].items():
        assert all(torch.equal(value, before[1]["state"][key][name]) for name, value in entry.items())
    with pytest.raises(ZeroDivisionError):
        own_rate_range(net, optimizer, lambda: loss() / (1 // 0))
    assert all(torch.equal(value, before[0][name]) for name, value in net.state_dict().items())


def test_a_recipe_trains_well_at_the_confirmed_rate_and_badly_beyond_the_bracket(flowers):
    settings = {
        "model": "mlp",
        "width": 16,
        "epochs": 6,
        "batch_size": 32,
        "threads": 1,
        "optimizer": "momentum",
        "regularizers": "none",
    }
    recipe = from_mapping(settings, flowers)[0]
    found = rate_range(flowers, recipe, steps=100, confirm=40)

    def ends(rate: float) -> float:
        points = list(Run(flowers, recipe.replace("optimizer.lr", rate)))
        return points[-1].train_loss

    assert ends(found.best) < 0.5
    assert ends(found.best) < ends(found.low / 100)
    assert not ends(found.best) > ends(found.high * 100)  # nan when it ran away
    assert "is best" in str(found)
    assert len(found.curve) <= 100
    assert rate_range(flowers, recipe, steps=100, confirm=40) == found


def test_a_loss_that_cannot_fall_is_told():
    net = nn.Linear(1, 1)
    with pytest.raises(RecipeError, match="the loss falls at no rate"):
        own_rate_range(net, torch.optim.SGD(net.parameters(), lr=1.0), lambda: net.weight.sum() * 0 + 1.0)
