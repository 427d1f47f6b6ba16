"""Every init: its deviation against the source's formula, its effect on signals, and that a weight depends on seed and name alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tuneful.core.config import comments
from tuneful.techniques.inits import TABLE, AsBuilt, He, LeCun, Normal, Orthogonal, Xavier, apply_

DEVIATIONS = {  # of a hidden Linear(300, 200), by the papers
    "he": math.sqrt(2 / 300),
    "xavier": math.sqrt(2 / 500),
    "lecun": math.sqrt(1 / 300),
    "normal": 0.02,
    "orthogonal": math.sqrt(2) * math.sqrt(1 / 300),  # rows of length sqrt 2 over 300 numbers
}


def stack(*layers: nn.Module) -> Any:
    return nn.Sequential(*layers)


DRAWN = [kind for kind in TABLE if kind != "as_built"]


@pytest.mark.parametrize("kind", TABLE)
def test_says_its_kind_source_and_cost_and_comments_each_field(kind: str):
    cls = TABLE[kind]
    assert cls.model_fields["kind"].default == kind
    assert cls.source
    assert cls.cost
    assert set(comments(cls)) == set(cls.model_fields) - {"kind"}


@pytest.mark.parametrize("kind", DRAWN)
def test_draws_with_the_deviation_of_its_source(kind: str):
    net = stack(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 5))
    apply_(net, TABLE[kind](), seed=0)
    assert net[0].weight.std().item() == pytest.approx(DEVIATIONS[kind], rel=0.02)
    assert abs(net[0].weight.mean().item()) < 0.05 * DEVIATIONS[kind]


@pytest.mark.parametrize("kind", ["he", "orthogonal"])
def test_the_last_layer_has_gain_1(kind: str):
    net = stack(nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 400))
    apply_(net, TABLE[kind](), seed=0)
    assert (net[0].weight.std() / net[2].weight.std()).item() == pytest.approx(math.sqrt(2), rel=0.02)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Conv1d(30, 64, 5), 150),
        (nn.Conv2d(16, 64, 3), 144),
        (nn.Conv2d(64, 64, 3, groups=4), 144),
        (nn.ConvTranspose2d(16, 64, 3), 144),
        (nn.Embedding(200, 144), 144),
    ],
)
def test_counts_what_enters_one_output_of_every_kind_of_layer(layer: nn.Module, fan_in: int):
    apply_(stack(layer, nn.Linear(2, 2)), LeCun(), seed=1)
    assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(fan_in), rel=0.05)  # type: ignore[union-attr]


def test_he_keeps_the_signal_through_twenty_rectified_layers_and_a_small_normal_loses_it():
    def last_length(init: He | Normal) -> float:
        net = stack(*[layer for _ in range(20) for layer in (nn.Linear(256, 256), nn.ReLU())])
        apply_(net, init, seed=0)
        x = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
        return net(x).square().mean().sqrt().item()

    assert 0.2 < last_length(He()) < 3
    assert last_length(Normal()) < 1e-6


@pytest.mark.parametrize("layer", [nn.Linear(20, 50), nn.Linear(50, 20), nn.Conv2d(4, 8, 3)])
def test_orthogonal_turns_and_does_not_stretch(layer: nn.Linear | nn.Conv2d):
    apply_(layer, Orthogonal(), seed=0)
    singular = torch.linalg.svdvals(layer.weight.detach().flatten(1))
    torch.testing.assert_close(singular, torch.ones_like(singular))


def test_biases_are_zeros_norms_ones_and_running_statistics_fresh():
    net = stack(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 4), nn.LayerNorm(4), nn.GroupNorm(2, 4))
    net(torch.randn(2, 3, 3, 3))
    with torch.no_grad():
        for p in net.parameters():
            p.add_(3.0)
    apply_(net, He(), seed=0)
    for i, value in ((1, 1.0), (4, 1.0), (5, 1.0)):
        assert torch.equal(net[i].weight, torch.full_like(net[i].weight, value))
    assert all(not net[i].bias.any() for i in (0, 1, 3, 4, 5))
    assert not net[1].running_mean.any()


def named(order: list[str]) -> Any:
    return nn.ModuleDict({name: nn.Linear(5, 5) for name in order})


def test_as_built_leaves_everything_as_it_is():
    net = stack(nn.Linear(4, 4), nn.LayerNorm(4))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    apply_(net, AsBuilt(), seed=0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("kind", DRAWN)
def test_a_weight_depends_on_the_seed_and_its_name_not_on_its_neighbours(kind: str):
    one, two, three = named(["a", "b", "c"]), named(["b", "new", "a", "c"]), named(["a", "b", "c"])
    torch.manual_seed(1)  # the global dice have no say
    apply_(one, TABLE[kind](), seed=5)
    torch.manual_seed(2)
    apply_(two, TABLE[kind](), seed=5)
    apply_(three, TABLE[kind](), seed=6)
    for name in ("a", "b", "c"):
        assert torch.equal(one[name].weight, two[name].weight)
        assert not torch.equal(one[name].weight, three[name].weight)
    assert not torch.equal(one["a"].weight, one["b"].weight)


def test_weights_are_the_same_in_every_precision_and_layout_up_to_rounding():
    def weight(net: nn.Conv2d) -> Tensor:
        apply_(net, He(), seed=0)
        return net.weight.detach()

    plain = weight(nn.Conv2d(3, 4, 3))
    last: Any = nn.Conv2d(3, 4, 3)
    assert torch.equal(weight(nn.Conv2d(3, 4, 3).double()).float(), plain)
    assert torch.equal(weight(last.to(memory_format=torch.channels_last)).contiguous(), plain)
    assert torch.equal(weight(nn.Conv2d(3, 4, 3).bfloat16()), plain.bfloat16())


def test_a_drawn_weight_has_these_figures_on_every_machine():
    """The first figures for seed 0: blake2b of "0:weight", torch's Mersenne twister on the CPU."""
    import hashlib

    net = nn.Linear(4, 1, bias=False)
    apply_(net, Xavier(), seed=0)
    key = int.from_bytes(hashlib.blake2b(b"0:weight", digest_size=8).digest(), "little") >> 1
    drawn = torch.rand(4, generator=torch.Generator().manual_seed(key))
    bound = math.sqrt(6 / 5)
    torch.testing.assert_close(net.weight.detach()[0], drawn * 2 * bound - bound)


def test_a_tied_weight_is_filled_once_and_a_padding_row_stays_zero():
    net = stack(nn.Embedding(7, 6, padding_idx=2), nn.Linear(6, 7, bias=False))
    net[1].weight = net[0].weight
    apply_(net, He(), seed=0)
    assert net[1].weight is net[0].weight
    assert not net[0].weight[2].any()
    assert net[0].weight[3].any()


def test_parameters_of_unknown_modules_keep_what_they_have():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.full((3,), 7.0))

    net = stack(nn.Linear(3, 3), Scaled())
    apply_(net, He(), seed=0)
    assert net[1].scale.tolist() == [7.0] * 3
