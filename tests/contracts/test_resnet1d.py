"""ResNet-1D: the published network's weights, any length, and what its windows see."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.techniques.inits import He, apply_
from tuneful.techniques.models import ResNet1d, check, make, size
from tuneful.techniques.models.resnet1d import Along


def test_has_the_weights_of_wang_et_al_counted_by_hand():
    """Fawaz et al.'s code has biases in its convolutions, which a norm takes off again; else it is the same."""
    form = Form.of((1, 96), 2)
    maps = [(1, 64), (64, 128), (128, 128)]
    convolutions = sum(8 * a * b + 5 * b * b + 3 * b * b + (a * b if a != b else 0) for a, b in maps)
    norms = sum(2 * 4 * b for _, b in maps)
    net = make(ResNet1d(), form)
    assert check(net, form).parameters == convolutions + norms + 128 * 2 + 2
    assert size(net, form).multiply_adds == 96 * convolutions + 128 * 2


@pytest.mark.parametrize("form", [Form.of((1, 1), 2), Form.of((3, 500), 4), Form("spectrogram", (1, 12, 20), 3)], ids=str)
def test_serves_series_and_spectrograms_of_any_length(form: Form):
    net = make(ResNet1d(width=8), form)
    check(net, form)
    if form.kind == "series":
        assert net(torch.randn(2, form.shape[0], form.shape[1] + 13)).shape == (2, form.outputs)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("window", [1, 2, 3, 8])
def test_a_window_of_any_size_keeps_the_length_as_tensorflow_s_same_does(window: int):
    """Padding of (k - 1) // 2 before and k // 2 after: torch's own "same" is that of tensorflow at stride 1."""
    conv = Along(2, 3, window, bias=True)
    x = torch.randn(4, 2, 11)
    ours = conv(x)
    assert ours.shape == (4, 3, 11)
    torch.testing.assert_close(ours, F.conv1d(x, conv.weight, conv.bias, padding="same"))


def test_a_block_with_as_many_channels_still_norms_what_it_adds():
    net = make(ResNet1d(width=4, depth=3), Form.of((1, 20), 2))
    apply_(net, He(), seed=0)
    beside = [block.beside for block in net if hasattr(block, "beside")]  # type: ignore[union-attr]
    assert [sum(isinstance(m, nn.Conv1d) for m in part) for part in beside] == [1, 1, 0]  # type: ignore[union-attr]
    assert all(isinstance(part[-1], nn.BatchNorm1d) for part in beside)  # type: ignore[index]
    with pytest.raises(ModelError, match="resnet1d takes series and spectrogram data"):
        make(ResNet1d(), Form.of((5,), 2))
