"""Inits that look at more than one weight: zero residual at the ends of blocks, LSUV at what the data do to each layer."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.techniques.inits import LSUV, DeltaOrthogonal, He, Init, Orthogonal, Xavier, ZeroResidual, apply_
from tuneful.techniques.interfaces import Residual


class Block(nn.Module, Residual):
    """x + W2 relu(W1 norm(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.one, self.two = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.two(self.one(self.norm(x)).relu())

    def ends(self) -> Sequence[nn.Module]:
        return [self.two]


class NormedBlock(nn.Module, Residual):
    """x + norm(W x), as in a ResNet: the last scale is a norm's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv(x))

    def ends(self) -> Sequence[nn.Module]:
        return [self.norm]


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# ------------------------------------------------------------------------------------------------ zero residual


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (Block(6), (4, 6)),
        (NormedBlock(3), (4, 3, 5, 5)),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True), (4, 5, 8)),
    ],
)
def test_a_block_begins_as_the_identity_and_learns_from_the_first_step(block: nn.Module, shape: tuple[int, ...]):
    net = nn.ModuleList([block, nn.Linear(2, 2)])
    apply_(net, ZeroResidual(), seed=0)
    block.train()
    x = noise(*shape)
    y = block(x)
    assert torch.equal(y, x)
    (y * noise(*shape)).sum().backward()
    ends = block.ends() if isinstance(block, Residual) else [block.self_attn.out_proj, block.linear2]  # type: ignore[union-attr]
    for end in ends:
        assert end.weight.grad.abs().sum() > 0  # type: ignore[union-attr]


def test_a_decoder_layer_has_three_branches():
    net = nn.TransformerDecoderLayer(8, 2, 16, norm_first=True, batch_first=True).eval()
    apply_(net, ZeroResidual(), seed=0)
    x = noise(2, 3, 8)
    assert torch.equal(net(x, noise(2, 4, 8)), x)


@pytest.mark.parametrize(("others", "same"), [("he", He()), ("xavier", Xavier()), ("orthogonal", Orthogonal())])
def test_all_other_weights_are_those_of_the_other_init(others: str, same: Init):
    one = nn.Sequential(nn.Linear(5, 6), Block(6), nn.Linear(6, 2))
    two = copy.deepcopy(one)
    apply_(one, ZeroResidual(others=others), seed=3)
    apply_(two, same, seed=3)
    for (name, p), q in zip(one.named_parameters(), two.parameters(), strict=True):
        assert torch.equal(p, torch.zeros_like(p) if name.startswith("1.two") else q)


def test_refuses_a_network_without_residual_blocks():
    with pytest.raises(ModelError, match="Sequential has no residual block that is known as one"):
        apply_(nn.Sequential(nn.Linear(2, 2)), ZeroResidual(), seed=0)


# ------------------------------------------------------------------------------------------------ LSUV


def deviations(net: nn.Module, x: Tensor) -> list[float]:
    """Of what each Linear and convolution gives."""
    found: list[float] = []
    hooks = [
        m.register_forward_hook(lambda m, i, o: found.append(o.std().item()))
        for m in net.modules()
        if isinstance(m, nn.Linear | nn.Conv2d)
    ]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU])
def test_every_layer_gives_deviation_1_on_the_examples_and_nearly_so_on_others(activation: type[nn.Module]):
    layers: list[nn.Module] = [nn.Conv2d(1, 8, 3), activation(), nn.Flatten()]
    units = 8 * 36
    for _ in range(12):
        layers += [nn.Linear(units, 64), activation(), nn.Dropout(0.5)]
        units = 64
    net = nn.Sequential(*layers, nn.Linear(64, 10)).eval()
    x = 3 * noise(256, 1, 8, 8) + 1
    apply_(net, LSUV(), seed=0, sample=x)
    assert deviations(net, x) == pytest.approx([1.0] * 14, abs=2e-5)
    others = 3 * torch.randn(256, 1, 8, 8, generator=torch.Generator().manual_seed(9)) + 1
    assert deviations(net, others) == pytest.approx([1.0] * 14, abs=0.25)
    apply_(net, Xavier(), seed=0)
    assert deviations(net, x) != pytest.approx([1.0] * 14, abs=0.25)


def test_a_matrix_stays_orthogonal_up_to_its_scale():
    net = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 5))
    apply_(net, LSUV(), seed=0, sample=noise(64, 20))
    for i in (0, 2):
        singular = torch.linalg.svdvals(net[i].weight.detach())  # type: ignore[arg-type]
        torch.testing.assert_close(singular, singular.mean().expand_as(singular))


def test_a_shared_module_and_a_tied_weight_are_scaled_once():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.again = nn.Linear(8, 8), nn.Linear(8, 8)
            self.again.weight = self.first.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.again(self.first(self.first(x).relu()).relu())

    net = Twice()
    x = 5 * noise(128, 8)
    apply_(net, LSUV(), seed=0, sample=x)
    assert net.first(x).std().item() == pytest.approx(1.0, abs=1e-5)


def test_leaves_statistics_modes_and_hooks_as_they_were():
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 2))
    net[2].eval()
    apply_(net, LSUV(), seed=0, sample=noise(32, 4) + 2)
    assert [m.training for m in net] == [True, True, False, True]
    assert not net[1].running_mean.any()  # type: ignore[union-attr]
    assert all(not m._forward_hooks for m in net.modules())


def test_refuses_to_work_without_examples_and_with_a_layer_that_is_always_the_same():
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(ModelError, match="lsuv, which needs examples to look at"):
        apply_(net, LSUV(), seed=0)
    with pytest.raises(ModelError, match="what layer 0 gives for 9 examples has deviation 0"):
        apply_(net, LSUV(), seed=0, sample=torch.zeros(9, 4))
    with pytest.raises(ModelError, match="it must be finite"):
        apply_(net, LSUV(), seed=0, sample=torch.full((9, 4), torch.inf))


def test_serves_transformers_and_recurrent_layers_whose_inner_weights_stay_orthogonal():
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    apply_(net, LSUV(), seed=0, sample=noise(4, 5, 8))
    for part in net.self_attn.in_proj_weight.detach().chunk(3):
        torch.testing.assert_close(torch.linalg.svdvals(part), torch.ones(8))
    assert DeltaOrthogonal().looks == 0
