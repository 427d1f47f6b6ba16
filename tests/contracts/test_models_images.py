"""Models of images: the sizes they claim, the counts that were published, and what they do with small pictures."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.techniques.inits import He, ZeroResidual, apply_
from tuneful.techniques.interfaces import Model, Residual
from tuneful.techniques.models import (
    Airbench,
    ConvNet,
    LeNet,
    MobileNetV2,
    MobileNetV3,
    ResNet,
    ResNet9,
    ViT,
    check,
    make,
    size,
)  # fmt: skip
from tuneful.techniques.models.maps import halved, norm
from tuneful.techniques.regularizers import Dropout

SMALL: list[Model] = [
    ConvNet(width=4), LeNet(width=4, hidden=(8,)), LeNet(width=4, kernel=5), ResNet9(width=4), ResNet(depth=8, width=4),
    ResNet(depth=10, width=4, order="pre", stem="small"), MobileNetV2(width=3), MobileNetV3(width=2), ViT(width=12, depth=1),
]  # fmt: skip


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    channels=st.integers(1, 5), high=st.integers(4, 80), wide=st.integers(4, 80), outputs=st.integers(1, 9),
    batch=st.integers(1, 3),
)  # fmt: skip
@pytest.mark.parametrize("model", SMALL, ids=str)
def test_serves_images_of_any_size_from_4x4(
    model: Model, channels: int, high: int, wide: int, outputs: int, batch: int
):  # fmt: skip
    form = Form.of((channels, high, wide), outputs)
    net = make(model, form)
    check(net, form)
    y = net(torch.randn(batch, channels, high, wide))  # in training mode, where a batch norm needs more than one value
    assert y.shape == (batch, outputs)


@pytest.mark.parametrize(
    ("model", "shape", "outputs", "parameters", "multiply_adds"),
    [  # parameters as torchvision, timm and Keras count them; multiply-adds to the digits that they tell
        (ResNet(depth=18), (3, 224, 224), 1000, 11_689_512, 1.81e9),
        (ResNet(depth=34), (3, 224, 224), 1000, 21_797_672, 3.66e9),
        (ResNet(depth=50), (3, 224, 224), 1000, 25_557_032, 4.09e9),
        (Airbench(), (3, 32, 32), 10, 1_972_792, None),  # 1.97 million, says its author
        (MobileNetV2(), (3, 224, 224), 1000, 3_504_872, 0.30e9),
        (MobileNetV3(), (3, 224, 224), 1000, 2_542_856, 0.057e9),
        (MobileNetV3(variant="large"), (3, 224, 224), 1000, 5_483_032, 0.217e9),
        (ViT(width=384, depth=12, heads=6, pool="class"), (3, 224, 224), 1000, 22_050_664, 4.6e9),
        (LeNet(border="cut", hidden=()), (1, 28, 28), 10, 34_826, None),
        # the option B of the paper's table 6, with projections: 272,474 by other implementations
        (ResNet(depth=20, width=16), (3, 32, 32), 10, 272_474, 0.041e9),
    ],
    ids=str,
)
def test_has_the_published_number_of_parameters(
    model: Model, shape: tuple[int, int, int], outputs: int, parameters: int, multiply_adds: float | None
):
    form = Form.of(shape, outputs)
    with torch.device("meta"):
        found = size(make(model, form), form)
    assert found.parameters == parameters
    assert multiply_adds is None or found.multiply_adds == pytest.approx(multiply_adds, rel=0.02)


def test_halving_late_keeps_the_weights_and_does_more_work_with_each():
    """28x28: convolutions at 28, 14, 14, 7, 7, 3 pixels a side, or at 28, 28, 14, 14, 7, 7."""
    form, width = Form.of((1, 28, 28), 10), 8
    maps = [(1, 8), (8, 8), (8, 16), (16, 16), (16, 32), (32, 32)]
    early, late = (size(ConvNet(width=width, halve=when).build(form), form) for when in ("early", "late"))
    assert early.parameters == late.parameters
    for found, its in ((early, (28, 14, 14, 7, 7, 3)), (late, (28, 28, 14, 14, 7, 7))):
        assert found.multiply_adds == sum(9 * i * o * side**2 for (i, o), side in zip(maps, its, strict=True)) + 32 * 10


def test_a_vit_counts_its_attention():
    """Per block: 12 w^2 weights' worth of products at T places, and 2 T^2 w for the scores and the sums of values."""
    form = Form.of((3, 32, 32), 10)
    net = ViT(width=48, depth=2, heads=3, patch=4).build(form)
    places, width = 64, 48
    by_hand = places * 48 * width + 2 * (12 * places * width**2 + 2 * places**2 * width) + width * 10
    assert size(net, form).multiply_adds == by_hand


class Reads(nn.Module):
    """A layer of sequences behind [B, C, T], answering with its last place."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        y = self.layer(x, x, x)[0] if isinstance(self.layer, nn.MultiheadAttention) else self.layer(x)
        return (y[0] if isinstance(y, tuple) else y)[:, -1]


@pytest.mark.parametrize(
    ("layer", "multiply_adds"),
    [
        (nn.RNN(8, 16, batch_first=True), 5 * 16 * (8 + 16)),
        (nn.GRU(8, 16, batch_first=True), 5 * 3 * 16 * (8 + 16)),
        (nn.LSTM(8, 16, 2, batch_first=True, bidirectional=True), 5 * 2 * 4 * 16 * ((8 + 16) + (32 + 16))),
        (nn.MultiheadAttention(8, 2, batch_first=True), 5 * 4 * 8 * 8 + 2 * 5 * 5 * 8),
        (nn.TransformerEncoderLayer(8, 2, 32, batch_first=True), 5 * 12 * 8 * 8 + 2 * 5 * 5 * 8),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_size_counts_recurrent_layers_and_attention(layer: nn.Module, multiply_adds: int):
    assert size(Reads(layer), Form.of((8, 5), 1)).multiply_adds == multiply_adds
    assert torch.backends.mha.get_fastpath_enabled()


def test_small_pictures_keep_at_least_four_pixels_a_side():
    assert halved((2, 1, 2, 2, 1, 2, 2), 32) == (1, 1, 1, 2, 1, 2, 2)
    assert halved((2, 2, 2), 8) == (1, 1, 2)
    assert halved((2, 2, 2), 4) == (1, 1, 1)
    assert halved((2, 2, 2, 2, 2), 64) == (2, 2, 2, 2, 2)
    net = MobileNetV2(width=3).build(Form.of((3, 32, 32), 2))
    assert isinstance(net, nn.Sequential)
    assert net[:-4](torch.zeros(1, 3, 32, 32)).shape[-2:] == (4, 4)


def test_groups_divide_every_number_of_maps():
    for channels in range(1, 600):
        for name in ("group", "layer"):
            made = norm(name, channels)  # type: ignore[arg-type]
            assert isinstance(made, nn.GroupNorm)
            assert channels % made.num_groups == 0
            assert made.num_groups <= 32


def test_lenet_without_padding_says_what_it_cannot_serve():
    with pytest.raises(ModelError, match="leaves nothing of images of 8x12") as caught:
        LeNet(kernel=5, border="cut").build(Form.of((1, 8, 12), 2))
    assert "border=padded" in caught.value.hint


def test_heads_that_do_not_divide_the_width_are_told():
    with pytest.raises(ModelError, match=r"model.width is 100, which 3 heads do not divide") as caught:
        ViT(width=100).build(Form.of((3, 32, 32), 2))
    assert "width=99" in caught.value.hint


@pytest.mark.parametrize(
    ("model", "blocks"),
    [(ResNet(depth=8, width=8), 3), (ResNet(depth=26, width=8, order="pre"), 8), (ResNet9(width=8), 2), (ViT(width=12), 6)],
    ids=str,
)
def test_residual_blocks_are_known_to_the_inits(model: Model, blocks: int):
    form = Form.of((3, 16, 16), 4)
    net = make(model, form)
    apply_(net, ZeroResidual(), 0)
    assert sum(isinstance(m, Residual) for m in net.modules()) == blocks
    apply_(net, He(), 0)
    Dropout(rate=0.3).prepare(net)
    assert any(isinstance(m, nn.Dropout) and m.p == 0.3 for m in net.modules())
