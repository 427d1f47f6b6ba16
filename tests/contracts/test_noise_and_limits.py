"""Proximal steps, limits that remember, noise and masks: held against scikit-learn, numpy, autograd and statistics."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet as TheirNet
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Residual
from tuneful.techniques.regularizers import (
    L1,
    AdaptiveClipping,
    DropConnect,
    Dropout,
    ElasticNet,
    GradientNoise,
    PercentileClipping,
    StochasticDepth,
    ValueClipping,
    WeightNoise,
)
from tuneful.techniques.regularizers.dropout import ChannelDropout, GaussianDropout


def dice(seed: int = 0) -> Any:
    return lambda: torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("penalty", "l1_share"),
    [(L1(strength=0.3, proximal=True), 1.0), (ElasticNet(strength=0.3, l1_share=0.6, proximal=True), 0.6)],
)
def test_proximal_steps_find_scikit_learns_weights_zeros_and_all(penalty, l1_share):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(80, 12))
    y = x @ np.array([2.0, -1.0, 0.5] + [0.0] * 9) + 0.3 * draw.normal(size=80)
    theirs = TheirNet(alpha=0.3, l1_ratio=l1_share, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(x, y).coef_
    w, a, b = nn.Parameter(torch.zeros(1, 12, dtype=torch.float64)), torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(3000):
        w.grad = None
        (0.5 * (a @ w[0] - b).square().mean()).backward()
        penalty.penalize_([w])
        with torch.no_grad():
            w.sub_(w.grad, alpha=0.2)
        penalty.settle_([w], 0.2)
    ours = w.detach()[0].numpy()
    assert ours == pytest.approx(theirs, abs=1e-8)
    assert ((ours == 0) == (theirs == 0)).all()
    assert (ours == 0).sum() > 4


def test_clipping_by_value_is_torchs():
    p, q = nn.Parameter(torch.zeros(50)), nn.Parameter(torch.zeros(50))
    p.grad = torch.randn(50, generator=dice()()) * 3
    q.grad = p.grad.clone()
    ValueClipping(max_value=0.7).limit_([p], {})
    nn.utils.clip_grad_value_([q], 0.7)
    assert torch.equal(p.grad, q.grad)
    assert p.grad.abs().max() == pytest.approx(0.7)


def test_adaptive_clipping_is_the_papers_formula_unit_by_unit_and_spares_the_head():
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(4, 3))
    dist = dice()()
    for p in net.parameters():
        p.grad = torch.randn(p.shape, generator=dist)
    before = [p.grad.clone() for p in net.parameters()]
    r = AdaptiveClipping(max_ratio=0.05, eps=1e-3)
    r.limit_(list(net.parameters()), {})
    conv, bias, *head = net.parameters()
    for i in range(4):
        most = 0.05 * max(conv[i].norm().item(), 1e-3)
        expected = before[0][i] * min(1.0, most / before[0][i].norm().item())
        torch.testing.assert_close(conv.grad[i], expected)
        assert conv.grad[i].norm().item() == pytest.approx(most, rel=1e-5)
    assert bias.grad.norm().item() == pytest.approx(0.05 * bias.norm().item(), rel=1e-5)
    assert all(torch.equal(p.grad, old) for p, old in zip(head, before[2:]))
    r.replace(spare_head=False).limit_(list(net.parameters()), {})
    assert not torch.equal(head[0].grad, before[2])


@settings(deadline=None)
@given(
    lengths=st.lists(st.floats(0.01, 100), min_size=1, max_size=25), percentile=st.sampled_from([10.0, 50.0, 90.0, 100.0])
)
def test_percentile_clipping_cuts_to_numpys_percentile_of_what_was_seen(lengths, percentile):
    r, p = PercentileClipping(percentile=percentile, window=8), nn.Parameter(torch.zeros(4, 1))
    memory = r.start_memory([p])
    for n, length in enumerate(lengths, 1):
        p.grad = torch.full((4, 1), length / 2)
        r.limit_([p], memory)
        limit = np.percentile(np.array(lengths[max(0, n - 8) : n], np.float32), percentile)
        assert p.grad.norm().item() == pytest.approx(min(length, limit), rel=1e-4)


def test_percentile_clipping_goes_on_from_a_copy_of_its_memory_and_forgets_what_is_no_number():
    r, p = PercentileClipping(percentile=50, window=5), nn.Parameter(torch.zeros(2))
    memory, seen = r.start_memory([p]), []
    for step, length in enumerate((1.0, 4.0, math.inf, 2.0, 8.0, 3.0, 9.0, 0.5)):
        if step == 4:
            memory = {name: tensor.clone() for name, tensor in memory.items()}
        p.grad = torch.tensor([length, 0.0])
        r.limit_([p], memory)
        seen.append(p.grad[0].item())
    assert seen[3] == pytest.approx(2.0)
    assert seen[4] == pytest.approx(3.0)  # the median of 1, 4, 2, 8
    assert int(memory["seen"]) == 8


def test_limits_never_wait_for_the_device(monkeypatch: pytest.MonkeyPatch):
    def waits(self: Tensor) -> float:
        raise AssertionError("a value was read")

    p = nn.Parameter(torch.ones(3, 2))
    p.grad = torch.full((3, 2), 5.0)
    monkeypatch.setattr(Tensor, "item", waits)
    monkeypatch.setattr(Tensor, "__bool__", waits)
    monkeypatch.setattr(Tensor, "__float__", waits)
    for r in (ValueClipping(), AdaptiveClipping(), PercentileClipping()):
        r.limit_([p], r.start_memory([p]))


def test_gradient_noise_has_the_variance_of_the_paper_and_comes_from_the_dice_alone():
    p = nn.Parameter(torch.zeros(200, 200))
    for t in (1, 10, 1000):
        p.grad = torch.zeros(200, 200)
        GradientNoise(strength=0.3).disturb_([p], t, dice(1))
        assert p.grad.var().item() == pytest.approx(0.3 / t**0.55, rel=0.03)
        first = p.grad.clone()
        p.grad = torch.zeros(200, 200)
        torch.manual_seed(t)
        GradientNoise(strength=0.3).disturb_([p], t, dice(1))
        assert torch.equal(p.grad, first)


def loss_of(net: nn.Module) -> Tensor:
    return net(torch.linspace(-1, 1, 32).reshape(8, 4)).square().mean()


@pytest.mark.parametrize("r", [WeightNoise(deviation=0.2), DropConnect(rate=0.4)])
def test_weights_inside_are_others_and_the_gradient_is_theirs(r):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
    params, before = list(net.parameters()), [p.detach().clone() for p in net.parameters()]
    with r.during(params, dice(3)):
        inside = [p.detach().clone() for p in params]
        loss_of(net).backward()
    assert all(torch.equal(p, old) for p, old in zip(params, before))
    twin = copy.deepcopy(net)
    for p, value in zip(twin.parameters(), inside):
        p.data.copy_(value)
        p.grad = None
    loss_of(twin).backward()
    for p, q, old, value in zip(params, twin.parameters(), before, inside):
        if p.ndim == 1:
            assert torch.equal(old, value)
            torch.testing.assert_close(p.grad, q.grad)
        elif r.kind == "weight_noise":
            assert (value - old).std().item() == pytest.approx(0.2, rel=0.25)
            torch.testing.assert_close(p.grad, q.grad)
        else:
            mask = (value != 0) / 0.6
            torch.testing.assert_close(value, old * mask)
            torch.testing.assert_close(p.grad, q.grad * mask)


def test_weights_come_back_when_the_loss_fails():
    p = nn.Parameter(torch.ones(3, 3))
    with pytest.raises(RuntimeError, match="no memory"), DropConnect(rate=0.5).during([p], dice()):
        raise RuntimeError("no memory")
    assert torch.equal(p, torch.ones(3, 3))


def place(form: str, rate: float = 0.25) -> nn.Module:
    net = nn.Sequential(nn.Identity(), nn.Dropout(0.0))
    Dropout(rate=rate, form=form).prepare(net)  # type: ignore[arg-type]
    return net


def test_channel_dropout_leaves_out_whole_channels():
    torch.manual_seed(0)
    x = place("channel")(torch.ones(500, 40, 3, 2))
    assert x.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (x.flatten(2).max(2)[0] == x.flatten(2).min(2)[0]).all()
    assert (x[:, :, 0, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert place("channel")(torch.ones(8, 5)).shape == (8, 5)


def test_gaussian_dropout_has_mean_and_variance_of_standard_dropout():
    torch.manual_seed(0)
    noisy, thinned = place("gaussian")(torch.ones(400_000)), F.dropout(torch.ones(400_000), 0.25)
    assert noisy.mean().item() == pytest.approx(1, abs=0.01)
    assert noisy.var().item() == pytest.approx(thinned.var().item(), rel=0.02)
    assert (noisy == 0).sum() == 0


@pytest.mark.parametrize("form", ["standard", "channel", "gaussian", "alpha"])
def test_every_form_of_dropout_does_nothing_in_evaluation_and_can_be_set_again(form: str):
    net, x = place(form).eval(), torch.randn(4, 3, generator=dice()())
    assert torch.equal(net(x), x)
    assert isinstance(
        net[1], {"channel": ChannelDropout, "gaussian": GaussianDropout, "alpha": nn.AlphaDropout}.get(form, nn.Dropout)
    )
    Dropout(rate=0.5).prepare(net)
    assert net[1].p == 0.5
    assert [name for name, _ in torch.export.export(net, (x,)).named_parameters()] == []


class Block(nn.Module, Residual):
    """x + 1, with the 1 from a module."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Linear(2, 2)
        nn.init.zeros_(self.branch.weight)
        nn.init.ones_(self.branch.bias)

    def ends(self) -> list[nn.Module]:
        return [self.branch]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def test_stochastic_depth_leaves_out_branches_by_example_and_depth():
    torch.manual_seed(0)
    net = nn.Sequential(Block(), Block(), Block(), Block())
    StochasticDepth(rate=0.4).prepare(net)
    net = copy.deepcopy(net)
    x = torch.zeros(20_000, 2)
    for place, block in enumerate(net, 1):
        rate = 0.4 * place / 4
        gained = block(x)
        assert (gained[:, 0] == gained[:, 1]).all()  # the whole branch or nothing of it
        assert (gained[:, 0] == 0).float().mean().item() == pytest.approx(rate, abs=0.01)
        assert gained.max().item() == pytest.approx(1 / (1 - rate))
        assert gained.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(net.eval()(x), torch.full_like(x, 4.0))
    exported = torch.export.export(net, (x[:2],))
    assert torch.equal(exported.module()(x[:2]), torch.full((2, 2), 4.0))
    assert list(net.state_dict()) == list(nn.Sequential(Block(), Block(), Block(), Block()).state_dict())


@pytest.mark.parametrize("norm_first", [True, False])
def test_stochastic_depth_knows_torchs_transformer_layers(norm_first: bool):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=norm_first)
    StochasticDepth(rate=0.5).prepare(layer)
    x = torch.randn(300, 5, 8)
    with torch.no_grad():
        if norm_first:
            still = (layer(x) == x).flatten(1).all(1).float().mean().item()
            assert still == pytest.approx(0.25, abs=0.08)  # both branches left out
        assert not torch.equal(layer(x), layer(x))
        layer.eval()
        plain = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=norm_first).eval()
        plain.load_state_dict(layer.state_dict())
        torch.testing.assert_close(layer(x), plain(x))


def test_stochastic_depth_refuses_a_network_without_blocks():
    with pytest.raises(ModelError, match="no residual block that is known as one"):
        StochasticDepth().prepare(nn.Linear(2, 2))
