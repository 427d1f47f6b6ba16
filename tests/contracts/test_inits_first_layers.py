"""Inits of short trainings of images: dirac hands on what it gets, whitening decorrelates the patches of the training images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.techniques.inits import Dirac, Whitening, apply_
from tuneful.techniques.models import MLP, Airbench, ConvNet, make


def images(n: int = 200, channels: int = 3, side: int = 12) -> Tensor:
    """Smooth images: neighbours are alike, and so are channels."""
    dice = torch.Generator().manual_seed(0)
    rough = torch.randn(n, channels, side + 4, side + 4, generator=dice)
    smooth = nn.functional.avg_pool2d(rough, 5, 1)
    return 3 * smooth + smooth.mean(1, keepdim=True)


@pytest.mark.parametrize(("outputs", "inputs", "kernel"), [(7, 4, 3), (4, 7, 3), (5, 5, 1), (6, 2, 5)])
def test_what_dirac_hands_on_is_torchs_dirac(outputs, inputs, kernel):
    conv = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False))
    apply_(conv, Dirac(), seed=0)
    theirs = nn.init.dirac_(torch.empty(outputs, inputs, kernel, kernel))
    common = min(outputs, inputs)
    assert torch.equal(conv[0].weight[:common], theirs[:common])
    x = torch.randn(2, inputs, 6, 6)
    torch.testing.assert_close(conv(x)[:, :common], x[:, :common])
    if outputs > inputs:  # the others are drawn as torch draws a convolution: U(-1, 1) / sqrt(fan_in)
        bound = (inputs * kernel**2) ** -0.5
        rest = conv[0].weight[common:]
        assert rest.abs().max() <= bound
        assert abs(rest.std() - bound / 3**0.5) < 0.2 * bound


def test_dirac_draws_what_has_no_window():
    net = nn.Sequential(nn.Linear(4, 4), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(2, 3, 1))
    apply_(net, Dirac(), seed=0)
    assert (net[0].weight == 0).sum() == 0
    assert (net[1].weight == 0).sum() == 0


@pytest.mark.parametrize("kernel", [2, 3])
def test_the_first_layer_gives_uncorrelated_numbers_of_variance_one(kernel):
    x = images()
    net = nn.Sequential(nn.Conv2d(3, 2 * 3 * kernel**2, kernel, bias=False), nn.Flatten())
    apply_(net, Whitening(eps=1e-12), seed=0, sample=x)
    seen = net[0](x).transpose(0, 1).flatten(1)[: 3 * kernel**2].detach().double().numpy()
    np.testing.assert_allclose(np.cov(seen), np.eye(len(seen)), atol=2e-3)
    torch.testing.assert_close(net[0].weight[3 * kernel**2 :], -net[0].weight[: 3 * kernel**2])


def test_directions_are_those_of_principal_components():
    from sklearn.decomposition import PCA

    x = images()
    net = nn.Sequential(nn.Conv2d(3, 5, 2, bias=False))
    apply_(net, Whitening(eps=1e-12), seed=0, sample=x)
    patches = x.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).numpy()
    theirs = PCA(5, whiten=True).fit(patches)
    ours = patches @ net[0].weight.detach().reshape(5, 12).numpy().T
    reference = theirs.transform(patches)
    for k in range(5):
        assert abs(np.corrcoef(ours[:, k], reference[:, k])[0, 1]) > 0.999
        assert abs(ours[:, k].std() - 1) < 2e-3


def test_other_weights_are_those_of_the_other_init():
    form = Form.of((3, 12, 12), 4)
    whitened, plain = make(Airbench(widths=(8, 8)), form), make(Airbench(widths=(8, 8)), form)
    apply_(whitened, Whitening(), seed=3, sample=images())
    apply_(plain, Dirac(), seed=3)
    for (name, one), (_, other) in zip(whitened.named_parameters(), plain.named_parameters(), strict=True):
        assert torch.equal(one, other) == (name != "0.0.weight"), name
    assert not whitened[0][0].weight.requires_grad
    assert whitened[0][0].bias.requires_grad


def test_whitening_refuses_what_has_no_such_layer():
    with pytest.raises(ModelError, match="does not begin with a convolution over all channels of images"):
        apply_(make(MLP(), Form.of((5,), 3)), Whitening(), 0, sample=torch.randn(8, 5))
    with pytest.raises(ModelError, match="needs examples to look at"):
        apply_(make(ConvNet(width=4), Form.of((3, 8, 8), 3)), Whitening(), 0)


def test_airbench_refuses_images_of_which_its_stages_leave_nothing():
    with pytest.raises(ModelError, match=r"model.widths has 3 stages, each of which halves images of 8x8; nothing is left"):
        make(Airbench(), Form.of((3, 8, 8), 3))
