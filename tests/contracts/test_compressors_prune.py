"""Structured pruning: what is cut says what the whole network says when the same units are silent; nothing else is touched."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuneful.core.errors import ModelError, RecipeError
from tuneful.core.form import Form
from tuneful.techniques.compressors import Prune
from tuneful.techniques.compressors.cutting import cut_
from tuneful.techniques.compressors.depends import families
from tuneful.techniques.interfaces import Sight
from tuneful.techniques.models import TABLE, make
from tuneful.techniques.models.check import size

IMAGE, TOKENS = Form.of((3, 16, 16), 10), Form("tokens", (20,), 5, "example", 50)


class Branches(nn.Module):
    """All that makes a dependency hard: a concatenation, a sum over a skip, maps by themselves, a gate, flatten into a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.mix = nn.Conv2d(12, 8, 1)
        self.alone = nn.Conv2d(8, 16, 3, padding=1, groups=8)
        self.back = nn.Conv2d(16, 8, 1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.gate = nn.Linear(8, 8)
        self.scale = nn.Parameter(torch.rand(1, 8, 1, 1) + 0.5)
        self.out = nn.Linear(8 * 4 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.mix(torch.cat([self.a(x).relu(), self.b(x).relu()], dim=1))
        h = h + self.norm(self.back(self.alone(h).relu()))
        h = h * self.gate(h.mean(dim=(2, 3))).sigmoid()[:, :, None, None] * self.scale
        return self.out(F.max_pool2d(h.relu(), 4).flatten(1))


def lively(net: nn.Module) -> nn.Module:
    """Batch norms that do something, so that a forgotten one is seen."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return net.eval()


def silenced(net: nn.Module, groups) -> nn.Module:
    """The same network with zeros wherever these groups stand."""
    quiet = copy.deepcopy(net)
    tensors = {**dict(quiet.named_parameters()), **dict(quiet.named_buffers())}
    with torch.no_grad():
        for group in groups:
            for (name, axis), places in group.indices.items():
                if not name.endswith("running_var"):
                    tensors[name].index_fill_(axis, places, 0.0)
    return quiet


def inputs(form: Form) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randint(3, 50, (4, *form.shape)) if form.whole else torch.randn(4, *form.shape)


NETS = {
    "branches": (lambda: Branches(), IMAGE),
    **{
        kind: (lambda kind=kind: make(TABLE[kind](), IMAGE), IMAGE) for kind in ("mlp", "convnet", "resnet9", "mobilenet_v2")
    },
    "resnet": (lambda: make(TABLE["resnet"](depth=8, width=16), IMAGE), IMAGE),
    "unet": (
        lambda: make(TABLE["unet"](width=8), Form("image", (3, 16, 16), 4, "place")),
        Form("image", (3, 16, 16), 4, "place"),
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_what_is_cut_says_what_the_silenced_network_says(name):
    torch.manual_seed(0)
    build, form = NETS[name]
    net, x = lively(build()), inputs(form)
    found = families(net, x)
    assert found
    gone = [group for family in found for group in family.groups[::3][: len(family.groups) - 1]]
    cut = copy.deepcopy(net)
    cut_(cut, gone)
    with torch.no_grad():
        torch.testing.assert_close(cut(x), silenced(net, gone)(x), rtol=1e-4, atol=1e-4)
    assert size(cut, form).multiply_adds < 0.8 * size(net, form).multiply_adds
    assert size(cut, form).parameters < 0.8 * size(net, form).parameters


@pytest.mark.parametrize(("kind", "form"), [("vit", IMAGE), ("transformer", TOKENS)])
def test_heads_go_as_a_whole_and_say_what_silent_ones_say(kind, form):
    torch.manual_seed(0)
    net, x = make(TABLE[kind](depth=2, heads=4, width=32), form).eval(), inputs(form)
    heads = [family for family in families(net, x) if family.head]
    assert [len(family.groups) for family in heads] == [4, 4]
    gone = [family.groups[1] for family in heads]
    cut = copy.deepcopy(net)
    cut_(cut, gone)
    with torch.no_grad():
        torch.testing.assert_close(cut(x), silenced(net, gone)(x), rtol=1e-4, atol=1e-5)


def test_units_that_a_network_counts_by_a_number_are_refused_in_a_sentence():
    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(12, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).reshape(-1, 2, 4).flatten(1))

    with pytest.raises(ModelError, match="what prune leaves of this network does not run"):
        Prune(share=0.3, multiple=1).on_network(Stubborn(), seen(torch.randn(8, 12), 3))


def seen(x: torch.Tensor, classes: int) -> Sight:
    return Sight(x.numpy(), x, torch.arange(len(x)) % classes, F.cross_entropy, 0)


def test_inputs_outputs_and_recurrent_layers_stay():
    net = make(TABLE["lstm"](), TOKENS)
    with pytest.raises(ModelError, match="prune finds no units in this network that could go by themselves"):
        Prune().on_network(net, seen(inputs(TOKENS), 5))
    net = nn.Linear(12, 3)
    with pytest.raises(ModelError, match="finds no units"):
        Prune().on_network(net, seen(torch.randn(8, 12), 3))


@pytest.mark.parametrize("by", ["magnitude", "taylor", "scale"])
def test_units_that_do_nothing_go_first(by):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 10),
    )
    dead = [1, 4, 7, 10]
    with torch.no_grad():
        for weight in (net[0].weight, net[0].bias, net[1].weight, net[1].bias):
            weight[dead] = 0.0
    net.eval()
    x = inputs(IMAGE)
    before = copy.deepcopy(net.state_dict())
    cut = Prune(share=4 / 12, by=by, multiple=1).on_network(net, seen(x, 10))
    assert cut[0].out_channels == cut[5].in_features == 8
    with torch.no_grad():
        torch.testing.assert_close(cut(x), net(x), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items()), "what was given is as it was"


def test_the_taylor_importance_is_the_first_order_change_of_the_loss():
    """Against autograd, with a mask of ones on the units: d loss / d mask is what removing a unit changes to first order."""
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 3)), torch.randn(32, 12)
    look = seen(x, 3)
    mask = torch.ones(6, requires_grad=True)
    out = F.linear(torch.tanh(F.linear(x, net[0].weight, net[0].bias)) * mask, net[2].weight, net[2].bias)
    (slope,) = torch.autograd.grad(F.cross_entropy(out, look.target), mask)
    from tuneful.techniques.compressors.prune import _importance

    (family,) = families(net, x)
    only_out = {key: value for key, value in family.groups[0].indices.items() if key == ("2.weight", 1)}
    assert list(only_out) == [("2.weight", 1)]
    kept = type(family)(tuple(type(g)({("2.weight", 1): g.indices["2.weight", 1]}, False) for g in family.groups))
    torch.testing.assert_close(_importance("taylor", kept, net, look), slope**2)


def test_multiples_and_shares():
    torch.manual_seed(0)
    net, x = make(TABLE["convnet"](width=16), IMAGE), inputs(IMAGE)
    widths = [
        m.out_channels
        for m in Prune(share=0.4, multiple=8).on_network(net, seen(x, 10)).modules()
        if isinstance(m, nn.Conv2d)
    ]
    assert widths == [16, 16, 24, 24, 40, 40]
    whole = Prune(share=0.5, spread="global", multiple=1).on_network(net, seen(x, 10))
    kept = sum(m.out_channels for m in whole.modules() if isinstance(m, nn.Conv2d))
    assert kept / sum((16, 16, 32, 32, 64, 64)) == pytest.approx(0.5, abs=0.03)
    with pytest.raises(RecipeError, match=r"share is 1.5; it must be in \(0, 1\)"):
        Prune(share=1.5)
