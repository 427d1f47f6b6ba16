"""Every init: its deviation against the source's formula, its effect on signals, and that a weight depends on seed and name alone.

What looks at more than one weight stands in test_inits_settled.py (zero residual, LSUV) and test_mup.py.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from tuneful.core.config import comments
from tuneful.core.errors import RecipeError
from tuneful.techniques.inits import (
    TABLE,
    AsBuilt,
    DeltaOrthogonal,
    He,
    LeCun,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    Xavier,
    apply_,
)
from tuneful.techniques.interfaces import Init

DEVIATIONS = {  # of a hidden Linear(300, 200), by the papers
    "he": math.sqrt(2 / 300),
    "xavier": math.sqrt(2 / 500),
    "lecun": math.sqrt(1 / 300),
    "normal": 0.02,
    "uniform": 0.05 / math.sqrt(3),
    "truncated_normal": math.sqrt(2 / 300),
    "delta_orthogonal": math.sqrt(2) * math.sqrt(1 / 300),
    "dirac": math.sqrt(1 / 300) / math.sqrt(3),  # a Linear is drawn as torch draws one
    "orthogonal": math.sqrt(2) * math.sqrt(1 / 300),  # rows of length sqrt 2 over 300 numbers
}


def stack(*layers: nn.Module) -> Any:
    return nn.Sequential(*layers)


DRAWN = [kind for kind in TABLE if kind not in ("as_built", "zero_residual", "lsuv", "mup", "whitening")]


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


# ------------------------------------------------------------------------------------------------ against torch and scipy

TORCHS = {  # a hidden Linear(300, 200), as torch.nn.init fills it
    "he normal, forward": (He(), lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu")),
    "he uniform, forward": (He(distribution="uniform"), lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu")),
    "he normal, back": (He(mode="fan_out"), lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")),
    "he uniform, back": (
        He(mode="fan_out", distribution="uniform"),
        lambda w: nn.init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"),
    ),
    "xavier uniform": (Xavier(), nn.init.xavier_uniform_),
    "xavier normal": (Xavier(distribution="normal"), nn.init.xavier_normal_),
    "lecun normal": (LeCun(), lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear")),
    "lecun uniform": (LeCun(distribution="uniform"), lambda w: nn.init.kaiming_uniform_(w, nonlinearity="linear")),
    "uniform": (Uniform(bound=0.3), lambda w: nn.init.uniform_(w, -0.3, 0.3)),
    "normal": (Normal(std=0.3), lambda w: nn.init.normal_(w, 0.0, 0.3)),
    "truncated normal": (
        TruncatedNormal(cut=1.5),
        lambda w: nn.init.trunc_normal_(w, a=-1.5, b=1.5).mul_(math.sqrt(2 / 300) / stats.truncnorm.std(-1.5, 1.5)),
    ),
    "orthogonal": (Orthogonal(), lambda w: nn.init.orthogonal_(w, math.sqrt(2))),
}


@pytest.mark.parametrize("name", TORCHS)
def test_draws_from_the_distribution_of_torch_nn_init(name: str):
    """Kolmogorov and Smirnov's test on 60,000 weights of each; its p is a number of this seed, not of luck."""
    init, reference = TORCHS[name]
    net = stack(nn.Linear(300, 200), nn.Linear(200, 2))
    apply_(net, init, seed=0)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        theirs = reference(torch.empty(200, 300))
    ours = net[0].weight.detach().flatten().numpy()
    assert stats.ks_2samp(ours, theirs.flatten().numpy()).pvalue > 0.01
    assert stats.ks_2samp(ours * 1.05, theirs.flatten().numpy()).pvalue < 0.01  # five in a hundred would be seen


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 6.0))
def test_the_truncated_normal_has_scipys_moments_and_no_weight_beyond_its_cut(cut: float):
    init = TruncatedNormal(cut=cut)
    assert init.spread == pytest.approx(stats.truncnorm.std(-cut, cut), rel=1e-4)
    weight = torch.empty(100, 400)
    init.fill_(weight, 400, 100, 1.0, torch.Generator().manual_seed(0))
    assert weight.std().item() == pytest.approx(1 / 20, rel=0.02)
    assert weight.abs().max().item() <= cut / init.spread / 20 * (1 + 1e-6)


def test_the_truncated_normal_with_a_tiny_cut_is_the_uniform_and_with_a_wide_one_the_normal():
    assert TruncatedNormal(cut=1e-6).spread == pytest.approx(1e-6 / math.sqrt(3))
    assert TruncatedNormal(cut=1e-3).spread == pytest.approx(1e-3 / math.sqrt(3), rel=1e-3)
    assert TruncatedNormal(cut=40.0).spread == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(DRAWN), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**62))
def test_fills_every_weight_with_finite_numbers_whatever_its_shape(kind: str, inputs: int, outputs: int, seed: int):
    net = nn.Conv1d(inputs, outputs, 3, bias=False)
    net.weight.data.fill_(math.nan)
    apply_(net, TABLE[kind](), seed)
    assert torch.isfinite(net.weight).all()


# ------------------------------------------------------------------------------------------------ delta-orthogonal


@pytest.mark.parametrize("window", [(3, 3), (5, 5), (1, 3), (4, 4)])
@pytest.mark.parametrize("outputs", [6, 10])
def test_a_delta_orthogonal_convolution_keeps_the_length_of_every_image(window: tuple[int, int], outputs: int):
    conv = nn.Conv2d(6, outputs, window, padding=(window[0] // 2, window[1] // 2), bias=False)
    apply_(stack(conv, nn.Linear(2, 2)), DeltaOrthogonal(), seed=0)
    x = torch.randn(5, 6, 9, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(conv(x).flatten(1).norm(dim=1), math.sqrt(2) * x.flatten(1).norm(dim=1))


def test_an_orthogonal_window_is_no_isometry_of_images_and_a_delta_one_is():
    """Why there are both: the spectrum of the whole layer, as a matrix on a picture of 5x5 with wrapped borders."""

    def spectrum(init: Init) -> Tensor:
        conv = nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular", bias=False)
        apply_(stack(conv, nn.Linear(2, 2)), init, seed=0)
        pictures = torch.eye(100).reshape(100, 4, 5, 5)
        return torch.linalg.svdvals(conv(pictures).flatten(1).detach()) / math.sqrt(2)

    torch.testing.assert_close(spectrum(DeltaOrthogonal()), torch.ones(100))
    uneven = spectrum(Orthogonal())
    assert uneven.max() / uneven.min() > 3


def test_fifty_tanh_convolutions_pass_a_signal_on_with_delta_orthogonal_weights():
    def length(init: Init) -> float:
        net = stack(*[layer for _ in range(50) for layer in (nn.Conv2d(16, 16, 3, padding=1), nn.Tanh())])
        apply_(net, init, seed=0)
        with torch.no_grad():
            for module in net:
                if isinstance(module, nn.Conv2d):
                    module.weight.div_(math.sqrt(2))  # gain 1: tanh, not a rectifier
            x = 0.1 * torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(0))
            return (net(x).norm() / x.norm()).item()

    assert 0.5 < length(DeltaOrthogonal()) <= 1.0
    assert length(Orthogonal()) < 0.1


# ------------------------------------------------------------------------------------------------ every kind of layer


@pytest.mark.parametrize("kind", DRAWN)
def test_groups_gates_and_projections_are_weights_of_their_own(kind: str):
    """Each part has the deviation of its own fans; orthogonal ones are rotations by themselves."""
    d = 32
    layers: dict[str, tuple[nn.Module, str, int]] = {
        "groups": (nn.Conv2d(4 * d, 4 * d, 1, groups=4), "weight", 4),
        "transposed groups": (nn.ConvTranspose1d(4 * d, 4 * d, 1, groups=4), "weight", 4),
        "lstm": (nn.LSTM(d, d), "weight_hh_l0", 4),
        "gru": (nn.GRU(d, d, bidirectional=True), "weight_ih_l0_reverse", 3),
        "rnn": (nn.RNN(d, d), "weight_hh_l0", 1),
        "cell": (nn.LSTMCell(d, d), "weight_hh", 4),
        "attention": (nn.MultiheadAttention(d, 4), "in_proj_weight", 3),
    }
    gain, by_torch = TABLE[kind].gain, {"groups", "transposed groups"}
    for name, (layer, of, parts) in layers.items():
        apply_(stack(layer, nn.Linear(2, 2)), TABLE[kind](), seed=0)
        weight = getattr(layer, of).detach()
        for part in weight.chunk(parts):
            part = part.flatten(1)
            assert part.shape == (d, d)
            alone = torch.empty(d, d)
            TABLE[kind]().fill_(alone, d, d, gain if name in by_torch else 1.0, torch.Generator().manual_seed(0))
            assert part.std().item() == pytest.approx(alone.std().item(), rel=0.1), name
            if "orthogonal" in kind:
                torch.testing.assert_close(torch.linalg.svdvals(part), torch.linalg.svdvals(alone))


@pytest.mark.parametrize("kind", ["orthogonal", "delta_orthogonal", "he"])
def test_rows_of_a_table_have_the_length_of_the_gain_however_many_there_are(kind: str):
    table = nn.Embedding(1000, 48)
    apply_(stack(table, nn.Linear(48, 2)), TABLE[kind](), seed=0)
    lengths = table.weight.detach().norm(dim=1)
    assert lengths.mean().item() == pytest.approx(math.sqrt(2), rel=0.02)
    if kind != "he":
        torch.testing.assert_close(lengths, torch.full((1000,), math.sqrt(2)))
        assert table.weight[:48].detach().matmul(table.weight[:48].detach().T).fill_diagonal_(0).abs().max() < 1e-5


def test_an_lstm_begins_with_open_forget_gates_and_all_other_biases_at_zero():
    for layer in (nn.LSTM(3, 5, 2, bidirectional=True), nn.LSTMCell(3, 5), nn.GRU(3, 5)):
        apply_(layer, He(), seed=0)
        total = sum(p.detach().sum().item() for n, p in layer.named_parameters() if n.startswith("bias"))
        forget = [p.detach()[5:10] for n, p in layer.named_parameters() if n.startswith("bias_ih")]
        if isinstance(layer, nn.GRU):
            assert total == 0
        else:
            assert all(torch.equal(part, torch.ones(5)) for part in forget)
            assert total == 5 * len(forget)


def test_an_lstm_that_projects_its_state_and_attention_of_other_widths_are_filled_too():
    lstm, attention = nn.LSTM(6, 8, proj_size=4), nn.MultiheadAttention(8, 2, kdim=6, vdim=10)
    for net in (lstm, attention):
        with torch.no_grad():
            for p in net.parameters():
                p.fill_(math.nan)
        apply_(net, Orthogonal(), seed=0)
        assert all(torch.isfinite(p).all() for p in net.parameters())
    torch.testing.assert_close(torch.linalg.svdvals(lstm.weight_hr_l0.detach()), torch.ones(4))
    for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
        singular = torch.linalg.svdvals(getattr(attention, name).detach())
        torch.testing.assert_close(singular, torch.ones_like(singular))


def test_what_attention_gives_is_not_rectified():
    net = stack(nn.MultiheadAttention(64, 4), nn.Linear(64, 64), nn.Linear(64, 2))
    apply_(net, He(), seed=0)
    assert net[0].out_proj.weight.std().item() == pytest.approx(1 / 8, rel=0.05)
    assert net[1].weight.std().item() == pytest.approx(math.sqrt(2) / 8, rel=0.05)


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("kind", "field", "value", "sentence"),
    [
        ("truncated_normal", "cut", 0.0, r"init.cut is 0.0; it must be > 0"),
        ("uniform", "bound", -1.0, r"init.bound is -1.0; it must be > 0"),
        ("he", "mode", "fan", r"init.mode is 'fan'; it must be 'fan_in' or 'fan_out'"),
        ("xavier", "distribution", "gauss", r"init.distribution is 'gauss'; it must be 'normal' or 'uniform'"),
        ("lsuv", "examples", 0, r"init.examples is 0; it must be a whole number >= 1"),
        ("mup", "base", 0, r"init.base is 0; it must be a whole number >= 1"),
        ("zero_residual", "others", "mup", r"init.others is 'mup'; it must be 'he' or"),
    ],
)
def test_refuses_settings_that_cannot_be(kind: str, field: str, value: Any, sentence: str):
    with pytest.raises(RecipeError, match=sentence):
        TABLE[kind](**{field: value})
