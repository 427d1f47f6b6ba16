"""U-Net: any size it claims, the published number of parameters, borders filled up inside, and the sentences for what it refuses."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.techniques.inits import He, apply_
from tuneful.techniques.models import ConvNet, UNet, check, make, size
from tuneful.techniques.regularizers import Dropout


def form(channels: int, high: int, wide: int, classes: int = 3) -> Form:
    return Form("image", (channels, high, wide), classes, "place")


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    channels=st.integers(1, 5), high=st.integers(4, 80), wide=st.integers(4, 80), classes=st.integers(2, 6),
    depth=st.integers(1, 5), norm=st.sampled_from(["batch", "group", "layer", "none"]), activation=st.sampled_from(["relu", "gelu", "tanh"]),
)  # fmt: skip
def test_serves_images_of_any_size_from_4x4(channels, high, wide, classes, depth, norm, activation):
    its = form(channels, high, wide, classes)
    net = make(UNet(width=4, depth=depth, convolutions=1, norm=norm, activation=activation), its)
    check(net, its)
    z = net(torch.randn(2, channels, high, wide))
    assert z.shape == (2, classes, high, wide)
    z.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_has_the_number_of_parameters_that_keras_prints():
    """31,055,297 for width 64, three channels and one class, where each of 5,888 normalized maps brings four numbers."""
    model, its = UNet(width=64, norm="none"), form(3, 256, 256, 1)
    with torch.device("meta"):
        found = size(make(model, its), its).parameters
    widths = [64, 128, 256, 512, 1024]
    down = sum(9 * a * b + b + 9 * b * b + b for a, b in pairwise([3, *widths]))
    up = sum(4 * 2 * w * w + w + 9 * 2 * w * w + w + 9 * w * w + w for w in widths[:-1])
    normalized = 2 * sum(widths) + 2 * sum(widths[:-1])
    assert found == down + up + 64 + 1 == 31_055_297 - 4 * normalized


def test_multiply_adds_grow_with_the_pixels_and_the_square_of_the_width():
    with torch.device("meta"):
        one, larger, wider = (
            size(make(UNet(width=w), f), f).multiply_adds
            for w, f in ((16, form(16, 64, 64)), (16, form(16, 128, 128)), (32, form(32, 64, 64)))
        )
    assert larger == 4 * one
    assert wider == pytest.approx(4 * one, rel=0.01)


def test_an_odd_image_is_filled_up_with_its_border_and_cut_out_again():
    net = make(UNet(width=4, depth=3, norm="none"), form(2, 13, 18))
    apply_(net, He(), seed=0)
    x = torch.randn(2, 2, 13, 18)
    filled = F.pad(x, (1, 1, 1, 2), mode="replicate")  # to 16 x 20, as it is halved twice
    torch.testing.assert_close(net(x), net(filled)[:, :, 1:14, 1:19])


def test_a_pixel_knows_what_is_far_away_only_by_way_of_the_coarse_maps():
    for depth, far in ((1, False), (4, True)):
        net = make(UNet(width=4, depth=depth, norm="none"), form(1, 64, 64)).double()
        apply_(net, He(), seed=0)
        x = torch.randn(1, 1, 64, 64, dtype=torch.float64)
        other = x.clone()
        other[..., 40:, 40:] += 1.0
        assert bool((net(x) != net(other))[..., 10, 10].any()) is far


def test_small_images_are_halved_less_often_and_dropout_reaches_the_coarsest_maps():
    ups = [m for m in make(UNet(depth=4), form(1, 9, 40)).modules() if isinstance(m, nn.ConvTranspose2d)]
    assert len(ups) == 2
    net = make(UNet(width=4), form(1, 32, 32))
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.0]
    Dropout(rate=0.5).prepare(net)
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.5]


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(ModelError, match="answers at each pixel; this task wants one answer an image"):
        make(UNet(), Form.of((3, 32, 32), 10))
    with pytest.raises(ModelError, match="one for each pixel of an image") as told:
        make(ConvNet(), form(3, 32, 32))
    assert "unet" in str(told.value.hint)
    with pytest.raises(ModelError, match="images of 4x4 or more; these are 3x9"):
        make(UNet(), form(1, 3, 9))
    with pytest.raises(ModelError, match="for each pixel"):
        check(nn.Conv2d(3, 2, 3), form(3, 32, 32, 2))
