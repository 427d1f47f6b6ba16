"""Network morphisms: a grown network is the function that the small one was; what cannot grow so is refused; copies are told apart."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.techniques.models import MLP, ConvNet, ResNet
from tuneful.techniques.models.morph import grow_, growable

PICTURE, ROW = Form.of((3, 12, 12), 5), Form.of((7,), 3)


def used(model, form: Form, seed: int) -> nn.Module:
    """A network whose weights and statistics are no longer those of its beginning."""
    torch.manual_seed(seed)
    net = model.build(form)
    for p in net.parameters():
        nn.init.normal_(p, 0.1 if p.ndim == 1 else 0.0, 0.5 / math.sqrt(max(1, p[0].numel())) if p.ndim > 1 else 0.3)
    net.train()
    for _ in range(3):
        net(torch.randn(16, *form.shape))
    return net.double().eval()


def differs(small, large, form: Form, seed: int = 0, noise: float = 0.0) -> float:
    """The largest difference of the two networks' answers, beside the size of the answers."""
    old = used(small, form, seed)
    net = large.build(form).double()
    dice = torch.Generator().manual_seed(seed)
    sample = torch.randn(16, *form.shape, generator=dice, dtype=torch.float64)
    grow_(net, large, old, small, sample, noise=noise, seed=seed)
    x = torch.randn(9, *form.shape, generator=dice, dtype=torch.float64)
    with torch.no_grad():
        before, after = old(x), net.eval()(x)
    return float((before - after).abs().max() / before.abs().max())


@settings(max_examples=15, deadline=None)
@given(
    st.integers(8, 14), st.integers(0, 9), st.integers(1, 3), st.integers(0, 2), st.sampled_from(["none", "batch", "layer"]),
    st.booleans(), st.sampled_from(["relu", "gelu", "tanh"]), st.integers(0, 99),
)  # fmt: skip
def test_an_mlp_that_may_grow_stays_the_function_that_it_was(width, wider, depth, deeper, norm, residual, activation, seed):
    small = MLP(width=width, depth=depth, norm=norm, residual=residual, activation=activation)
    large = small.replace(width=width * (1 + wider % 3) if norm == "layer" else width + wider, depth=depth + deeper)
    if growable(small, large):
        with pytest.raises(ModelError, match="cannot grow"):
            differs(small, large, ROW)
        return
    assert differs(small, large, ROW, seed) < 1e-6


@settings(max_examples=8, deadline=None)
@given(
    st.integers(2, 5),
    st.integers(0, 6),
    st.integers(1, 2),
    st.integers(0, 2),
    st.sampled_from(["none", "batch"]),
    st.sampled_from(["early", "late"]),
)
def test_a_convnet_stays_the_function_that_it_was(width, wider, depth, deeper, norm, halve):
    small = ConvNet(width=width, depth=depth, norm=norm, halve=halve)
    large = small.replace(width=width + wider, depth=depth + deeper)
    if not growable(small, large):
        assert differs(small, large, PICTURE, width) < 1e-6


@pytest.mark.parametrize("order", ["post", "pre"])
@pytest.mark.parametrize(
    ("depth", "width", "to_depth", "to_width"), [(8, 3, 8, 7), (8, 3, 14, 3), (8, 4, 20, 9), (10, 2, 18, 4), (26, 2, 50, 3)]
)
def test_a_resnet_stays_the_function_that_it_was(order, depth, width, to_depth, to_width):
    small = ResNet(depth=depth, width=width, order=order)
    assert differs(small, small.replace(depth=to_depth, width=to_width), PICTURE) < 1e-6


def test_what_is_not_larger_or_of_another_kind_does_not_grow():
    assert growable(MLP(width=8), ConvNet(width=16)) == "only mlp, convnet and resnet grow, each into its own kind"
    assert (
        growable(MLP(width=8), MLP(width=8)) == growable(MLP(width=8, depth=2), MLP(width=16, depth=1)) == "it is not larger"
    )
    assert growable(MLP(width=8), MLP(width=16, norm="batch")) == "norm differs"
    assert "not the identity" in growable(MLP(activation="tanh"), MLP(activation="tanh", depth=3))
    assert "a multiple" in growable(MLP(width=8, norm="layer"), MLP(width=12, norm="layer"))
    with pytest.raises(ModelError, match="a network as wide as its input adds to it"):
        differs(MLP(width=7, residual=True), MLP(width=9, residual=True), ROW)
    assert "other stages" in growable(ResNet(depth=8), ResNet(depth=18))


def test_noise_parts_the_copies_and_training_keeps_them_apart():
    small, large = MLP(width=4, depth=2), MLP(width=8, depth=2)
    assert 1e-4 < differs(small, large, ROW, noise=0.02) < 0.3
    old, twins = used(small, ROW, 0), {}
    for noise in (0.0, 0.02):
        net = large.build(ROW).double()
        grow_(net, large, old, small, torch.randn(16, 7, dtype=torch.float64), noise=noise)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        x, y = torch.randn(64, 7, dtype=torch.float64), torch.arange(64) % 3
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
        weight = next(m for m in net.modules() if isinstance(m, nn.Linear)).weight.detach()
        twins[noise] = float((weight[:4] - weight[4:]).norm() / weight.norm())
    assert twins[0.0] < 1e-6  # without it, a copy stays a copy
    assert twins[0.02] > 0.01
