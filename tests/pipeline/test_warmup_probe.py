"""The warm-up probe on a cliff whose need for a warm-up is known from arithmetic, on networks, and what it leaves behind: nothing."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuneful.core.errors import RecipeError
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.warmup_probe import PARTS, WarmUp, own_warmup_probe, warmup_probe


class Cliff(nn.Module):
    """w^4 / 4: the further out, the steeper, so that a long step from far out lands further out still."""

    def __init__(self, begin: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(begin, dtype=torch.float64))

    def forward(self) -> torch.Tensor:
        return self.w**4 / 4


def survives(begin: float, rate: float, warmup: int, steps: int) -> bool:
    """Gradient descent by hand."""
    w = begin
    for t in range(steps):
        w -= rate * min(1.0, (t + 1) / (warmup + 1)) * w**3
        if abs(w) > 1e6:
            return False
    return w**4 < begin**4 / 100


def test_the_bracket_holds_what_arithmetic_finds():
    for rate in (0.5, 2.0, 4.0, 8.0):
        net = Cliff(3.0)
        found = own_warmup_probe(net, torch.optim.SGD(net.parameters(), lr=rate), net)
        tried = [round(part * 192) for part in PARTS]
        enough = [w for w in tried if survives(3.0, rate, w, 192)]
        assert found.high == min(enough) > 0
        assert found.low == max(w for w in tried if w < found.high)
        assert not survives(3.0, rate, found.low, 192)
        assert f"a warm-up of {found.low} to {found.high:.0f} steps is needed" in str(found)
        assert math.isinf(dict(found.tried)[0])


def test_a_rate_that_the_beginning_bears_needs_none():
    net = Cliff(3.0)
    found = own_warmup_probe(net, torch.optim.SGD(net.parameters(), lr=0.02), net)
    assert (found.low, found.high) == (0, 0)
    assert str(found).startswith("no warm-up is needed at this rate (0 ends at ")


def test_a_rate_that_no_warm_up_helps_is_told():
    w = nn.Linear(1, 1, bias=False)
    nn.init.constant_(w.weight, 3.0)
    found = own_warmup_probe(
        w, torch.optim.SGD(w.parameters(), lr=5.0), lambda: 0.37 * w.weight.square().sum()
    )  # limit: 2.7
    assert math.isinf(found.high)
    assert "no warm-up of up to 96 steps lets this rate learn" in str(found)
    assert found.as_data()["high"] is None


def test_leaves_network_optimizer_and_chance_as_they_were():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)

    def loss() -> torch.Tensor:
        x = torch.randn(16, 4)
        return F.mse_loss(net(x), x.sum(1, keepdim=True))

    for _ in range(3):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    net.eval()
    before, chance = copy.deepcopy((net.state_dict(), optimizer.state_dict())), torch.get_rng_state()
    found = own_warmup_probe(net, optimizer, loss, steps=64)
    assert found == own_warmup_probe(net, optimizer, loss, steps=64)  # the same draws, the same answer
    assert torch.equal(torch.get_rng_state(), chance)
    assert not net.training
    assert all(torch.equal(value, before[0][name]) for name, value in net.state_dict().items())
    assert optimizer.state_dict()["param_groups"] == before[1]["param_groups"]
    with pytest.raises(RecipeError, match="needs trainings of 64 steps or more; steps=10"):
        own_warmup_probe(net, optimizer, loss, steps=10)


def test_a_recipe_at_a_usual_rate_needs_none(flowers):
    settings = {
        "model": "mlp",
        "width": 16,
        "epochs": 6,
        "batch_size": 32,
        "threads": 1,
        "optimizer": "adamw",
        "regularizers": "none",
    }
    found = warmup_probe(flowers, from_mapping(settings, flowers)[0], steps=64)
    assert found.high == 0
    assert found.first > dict(found.tried)[0]


def test_a_longer_warm_up_that_fails_again_is_told():
    found = WarmUp(12, 24.0, ((0, 1.16), (6, 1.16), (12, 1.16), (24, 0.46), (48, math.inf), (96, 0.6)), 192, 2.2)
    assert found.doubtful == (48,)
    assert str(found).endswith("; 48 failed again, so chance has a say: a lower rate is safer")


@pytest.mark.slow
def test_a_transformer_with_norms_behind_the_sum_needs_one_and_with_norms_before_it_does_not():
    """Liu et al., EMNLP 2020, section 4: at the same high rate of Adam. The task: the largest of six numbers."""

    def found(before: bool) -> WarmUp:
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True, norm_first=before)
        encoder = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
        net = nn.Sequential(nn.Embedding(8, 16), encoder, nn.Linear(16, 8))

        def loss() -> torch.Tensor:
            x = torch.randint(0, 8, (16, 6))
            return F.cross_entropy(net(x).flatten(0, 1), x.amax(1, keepdim=True).expand(-1, 6).flatten())

        return own_warmup_probe(net, torch.optim.Adam(net.parameters(), lr=0.03), loss)

    assert found(before=False).high > 0
    assert found(before=True).high == 0
