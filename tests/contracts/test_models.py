"""Every model: the shapes it serves, its size against sums by hand, and the sentences for networks that do not fit."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tuneful.core.config import comments
from tuneful.core.errors import ModelError, RecipeError
from tuneful.core.form import Form
from tuneful.pipeline.export import _to_onnx, served
from tuneful.runtime.load import open_session
from tuneful.techniques.inits import He, apply_
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models import (
    MLP,
    TABLE,
    ConvNet,
    FTTransformer,
    Linear,
    Own,
    Size,
    TableResNet,
    TabM,
    check,
    make,
    size,
)
from tuneful.techniques.models.features import Piecewise
from tuneful.techniques.regularizers import Dropout

OURS = [
    Linear(),
    MLP(),
    MLP(norm="batch", depth=3, width=8, activation="tanh"),
    MLP(norm="layer", activation="gelu"),
    ConvNet(),
]
OURS += [ConvNet(depth=1, width=4, activation="silu"), ConvNet(norm="none", width=8)]
TABLES = [TabM(members=3, width=16), TabM(members=1, width=8, embedding="periodic", spikes=4), TableResNet(width=16)]
TABLES += [TableResNet(width=16, norm="batch", embedding="periodic"), FTTransformer(width=16, heads=2)]
TABLES += [FTTransformer(width=16, heads=4, embedding="piecewise"), MLP(residual=True, depth=3, width=16)]
IMAGES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 4, 4), (2, 5, 33), (4, 64, 17)]
NET_FILE = """
from torch import nn
import beside

class Net(nn.Module):
    def __init__(self, inputs, outputs, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(inputs[0], width), nn.ReLU(), nn.Linear(width, outputs))
        self.extra = beside.VALUE

    def forward(self, x):
        return self.layers(x)

    class Inner(nn.Linear):
        def __init__(self, outputs):
            super().__init__(3, outputs)

def raises(outputs):
    raise KeyError("no such layer")

def gives_text():
    return "net"

def any_names(**settings):
    return nn.Linear(settings["a"], settings["b"])

made = nn.Linear(3, 2)
number = 5
"""


@pytest.fixture
def net_py(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "beside.py").write_text("VALUE = 42\n")
    (tmp_path / "net.py").write_text(NET_FILE)
    yield tmp_path / "net.py"
    for name in [n for n, m in sys.modules.items() if str(tmp_path) in str(getattr(m, "__file__", ""))]:
        del sys.modules[name]


@pytest.mark.parametrize("kind", TABLE)
def test_says_its_kind_source_and_cost_and_comments_each_field(kind: str):
    cls = TABLE[kind]
    assert cls.model_fields["kind"].default == kind
    assert cls.source
    assert cls.cost
    assert set(comments(cls)) == set(cls.model_fields) - {"kind"}


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("model", OURS, ids=str)
def test_serves_images_of_any_size_from_4x4(model: Model, shape: tuple[int, ...]):
    net = model.build(Form.of(shape, 7))
    apply_(net, He(), seed=0)
    assert check(net, Form.of(shape, 7)).parameters == sum(p.numel() for p in net.parameters())
    net(torch.randn(2, *shape)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("model", OURS[:4], ids=str)
def test_serves_tables(model: Model):
    check(model.build(Form.of((5,), 1)), Form.of((5,), 1))


FORMS = [
    Form("vector", (7,), 3, groups=(1, 4, 1, 1)),
    Form.of((1,), 1),
    Form("vector", (5,), 2, groups=(2, 3)),
    Form.of((300,), 4),
]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("model", TABLES, ids=str)
def test_models_of_tables_serve_numbers_and_categories_and_are_the_same_in_onnx(model: Model, form: Form):
    net = make(model, form)
    apply_(net, He(), seed=0)
    check(net, form)
    x = torch.randn(6, *form.shape)
    answers = net.train()(x)
    assert len(answers) in (6, 6 * getattr(model, "members", 1))
    answers.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters() if p.numel())
    net.eval()
    assert net(x).shape == (6, form.outputs)
    torch.testing.assert_close(net(x)[:1], net(x[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", TABLES, ids=str)
def test_models_of_tables_export(model: Model):
    form = Form("vector", (7,), 3, groups=(1, 4, 1, 1))
    net = served(make(model, form), "multiclass")
    session = open_session(_to_onnx(net, torch.zeros(1, 7), "z").SerializeToString())
    for rows in (1, 5):
        x = torch.randn(rows, 7)
        ours = net(x).detach().numpy()
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], ours, rtol=1e-4, atol=1e-5)


def test_piecewise_is_the_paper_s_encoding_and_the_line_goes_on_outside():
    """Eq. 1 of arXiv:2203.05556 with T = 4 bounds taken from the module itself."""
    piecewise = Piecewise(4)
    edges = [*piecewise.low.tolist(), piecewise.low[-1].item() + 1 / piecewise.scale[-1].item()]
    for value in (-5.0, -0.3, 0.0, 0.9, 4.0):
        wanted = []
        for t, (a, b) in enumerate(itertools.pairwise(edges)):
            if value < a and t > 0:
                wanted.append(0.0)
            elif value >= b and t < 3:
                wanted.append(1.0)
            else:
                wanted.append((value - a) / (b - a))
        torch.testing.assert_close(piecewise(torch.tensor([[value]]))[0, 0], torch.tensor(wanted))


def test_values_that_recur_are_known_by_themselves():
    torch.manual_seed(0)
    x = torch.randn(500, 3)
    x[:40, 0], x[40:52, 0], x[:9, 1] = 2.5, -1.0, 0.5  # the last one too rarely
    form = Form("vector", (3,), 2, "example", 0, 0, (1, 1, 1))
    model = TabM(members=2, width=8, embedding="periodic", spikes=3)
    net = model.build(form)
    model.look_(net, x)
    spiked = net.features.embed
    assert spiked.spikes[0].tolist() == [2.5, -1.0, pytest.approx(1e30)]
    assert (spiked.spikes[1:] > 1e29).all()
    plain = TabM(members=2, width=8, embedding="periodic").build(form)
    plain.load_state_dict(
        {
            n.replace("embed.smooth", "embed"): v
            for n, v in net.state_dict().items()
            if "spikes" not in n and "known" not in n
        }
    )
    net.eval(), plain.eval()
    torch.testing.assert_close(net(x), plain(x))  # at first as if there were none
    with torch.no_grad():
        spiked.known[0, 0] = 5.0
    moved = (net(x) - plain(x)).abs().sum(1) > 1e-6
    assert moved.nonzero().flatten().tolist() == list(range(40))


def test_members_are_judged_one_by_one_and_their_mean_answers():
    form = Form("vector", (4,), 2)
    net = TabM(members=5, width=8).build(form)
    x = torch.randn(3, 4)
    each = net.train()(x).unflatten(0, (3, 5))
    torch.testing.assert_close(net.eval()(x), each.mean(dim=1))
    assert bool((each.std(dim=1) > 0).all())


def test_a_convnet_refuses_a_table_and_a_tiny_image():
    with pytest.raises(ModelError, match=r"model.convnet takes image and spectrogram data; these are vector of 5"):
        make(ConvNet(), Form.of((5,), 2))
    with pytest.raises(ModelError, match="images of 4x4 or more; these are 3x9"):
        ConvNet().build(Form.of((1, 3, 9), 2))


@pytest.mark.parametrize(
    ("side", "channels", "last"),
    [(4, [4], 4), (8, [4, 8], 4), (16, [4, 8, 16], 4), (28, [4, 8, 16], 3), (32, [4, 8, 16], 4), (64, [4, 8, 16, 16], 4)],
)
def test_a_convnet_halves_the_picture_and_doubles_the_channels(side: int, channels: list[int], last: int):
    net = ConvNet(width=4, depth=1).build(Form.of((1, side, side), 2))
    assert [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)] == channels
    assert isinstance(net, nn.Sequential)
    assert net[: len(channels)](torch.zeros(1, 1, side, side)).shape == (1, channels[-1], last, last)


@pytest.mark.parametrize("model", [MLP(), ConvNet()], ids=str)
def test_has_places_for_dropout(model: Model):
    net = model.build(Form.of((1, 8, 8), 3))
    Dropout(rate=0.5).prepare(net)
    assert any(isinstance(m, nn.Dropout) and m.p == 0.5 for m in net.modules())


def test_size_counts_an_mlp_as_by_hand():
    net = MLP(width=10, depth=2).build(Form.of((4,), 3))
    assert size(net, Form.of((4,), 1)) == Size(
        parameters=4 * 10 + 10 + 10 * 10 + 10 + 10 * 3 + 3, multiply_adds=4 * 10 + 10 * 10 + 10 * 3
    )


def test_size_counts_lenet5_as_published():
    """LeNet-5 with full connections between its convolutions: 61706 parameters, 416520 multiply-adds (biases not counted)."""
    lenet = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )
    convolutions = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 6 * 25
    assert size(lenet, Form.of((1, 28, 28), 1)) == Size(61706, convolutions + 400 * 120 + 120 * 84 + 84 * 10)


def test_size_counts_groups_and_transposed_windows():
    assert size(nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False), Form.of((4, 5, 5), 1)) == Size(8 * 9, 25 * 8 * 9)
    assert size(nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False), Form.of((4, 5, 5), 1)) == Size(4 * 6 * 4, 4 * 25 * 6 * 4)


def test_a_check_leaves_the_network_and_the_global_dice_as_they_were():
    net = nn.Sequential(ConvNet().build(Form.of((1, 8, 8), 3)), nn.Identity())
    net[0].eval()  # mixed modes come back as they were
    state = {k: v.clone() for k, v in net.state_dict().items()}
    modes = [m.training for m in net.modules()]
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check(net, Form.of((1, 8, 8), 3))
    assert torch.equal(torch.get_rng_state(), before)
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert not any(m._forward_hooks for m in net.modules())


class Gives(nn.Module):
    def __init__(self, what: object) -> None:
        super().__init__()
        self.weight, self.what = nn.Parameter(torch.zeros(1)), what

    def forward(self, x: Tensor) -> object:
        return self.what


@pytest.mark.parametrize(
    ("net", "sentence"),
    [
        (nn.Linear(4, 2), r"gave shape \[2, 2\] for input \[2, 4\]; it must give \[2, 3\]"),
        (nn.Linear(5, 3), r"failed on a batch of shape \[2, 4\]: RuntimeError: mat1 and mat2"),
        (Gives((torch.zeros(2, 3), None)), "gave tuple; it must give a tensor"),
        (Gives(torch.zeros(2, 3, dtype=torch.int64)), "gave numbers of type torch.int64"),
        (Gives(torch.full((2, 3), float("nan"))), "gave NaN or infinite numbers"),
        (nn.Linear(4, 3).requires_grad_(False), "no parameter that can be trained"),
    ],
)
def test_a_network_that_does_not_fit_is_told_in_a_sentence(net: nn.Module, sentence: str):
    with pytest.raises(ModelError, match=sentence) as caught:
        check(net, Form.of((4,), 3))
    assert caught.value.hint


class TwoInputs(nn.Linear):
    def forward(self, x: Tensor, mask: Tensor, scale: float = 1.0) -> Tensor:  # type: ignore[override]
        return super().forward(x * mask) * scale


class NamesItsOutputs(nn.Linear):
    def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {"logits": super().forward(x)}


def test_a_network_of_several_inputs_or_outputs_is_refused_in_a_sentence():
    with pytest.raises(ModelError, match=r"forward\(\) asks for 2 inputs \(x, mask\); it must take one tensor"):
        check(TwoInputs(4, 3), Form.of((4,), 3))
    with pytest.raises(ModelError, match="the network gave dict; it must give a tensor"):
        check(NamesItsOutputs(4, 3), Form.of((4,), 3))


def test_a_network_that_fails_is_the_cause_of_our_error():
    with pytest.raises(ModelError) as caught:
        size(nn.Linear(5, 3), Form.of((4,), 1))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_own_builds_from_a_file_with_the_modules_beside_it(net_py: Path):
    net = Own(factory=f"{net_py}:Net", arguments={"width": 16}).build(Form.of((3,), 2))
    assert check(net, Form.of((3,), 2)) == Size(3 * 16 + 16 + 16 * 2 + 2, 3 * 16 + 16 * 2)
    assert str(net_py.parent) not in sys.path
    assert isinstance(Own(factory=f"{net_py}:Net.Inner").build(Form.of((3,), 2)), nn.Linear)
    assert isinstance(Own(factory=f"{net_py}:any_names", arguments={"a": 3, "b": 2}).build(Form.of((3,), 2)), nn.Linear)


def test_own_reads_a_changed_file_again(net_py: Path):
    own = Own(factory=f"{net_py}:Net")
    assert type(own.build(Form.of((3,), 2))) is type(own.build(Form.of((3,), 2)))
    net_py.write_text(NET_FILE.replace("width=8", "width=9"))
    assert own.build(Form.of((3,), 2)).layers[1].out_features == 9  # type: ignore[union-attr,index]


def test_own_builds_from_a_package_and_from_the_working_directory(net_py: Path, monkeypatch: pytest.MonkeyPatch):
    own = Own(factory="torch.nn:Linear", arguments={"in_features": 3, "out_features": 2})
    assert isinstance(own.build(Form.of((3,), 2)), nn.Linear)
    monkeypatch.chdir(net_py.parent)
    assert isinstance(Own(factory="net:Net").build(Form.of((3,), 2)), nn.Module)
    del sys.modules["net"]


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("nte.py:Net", {}, r"names the file .*nte.py, which does not exist; did you mean net.py\?"),
        ("net.py:Nett", {}, r"has nothing named Nett; did you mean Net\?"),
        ("net.py:number", {}, "is int; it must be a class or function"),
        ("net.py:made", {}, "is a network that is made already"),
        ("net.py:raises", {}, r"raised when it was called with \(outputs=2\): KeyError: 'no such layer'"),
        ("net.py:gives_text", {}, "gave str; it must give an nn.Module"),
        ("net.py:Net", {"widht": 3}, r"takes no argument named widht; did you mean width\?"),
        ("net.py:Net.f.<locals>.g", {}, "made inside a function"),
        ("broken.py:Net", {}, r"could not be imported: SyntaxError: .*\(line 1\)"),
        ("needs.py:Net", {}, "could not be imported: ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("shy.py:Net", {}, "needs depth, which model.arguments does not give"),
    ],
)
def test_own_says_what_is_wrong_with_a_factory(net_py: Path, name: str, arguments: dict[str, int], sentence: str):
    (net_py.parent / "broken.py").write_text("class Net(:\n")
    (net_py.parent / "needs.py").write_text("import not_there_at_all\n")
    (net_py.parent / "shy.py").write_text("def Net(outputs, depth): ...\n")
    with pytest.raises(ModelError, match=sentence):
        Own(factory=f"{net_py.parent}/{name}", arguments=arguments).build(Form.of((3,), 2))


def test_own_keeps_the_factorys_error_as_the_cause(net_py: Path):
    with pytest.raises(ModelError) as caught:
        Own(factory=f"{net_py}:raises").build(Form.of((3,), 2))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("factory", ["no_such_package_here:Net", "json.no_such_part:Net"])
def test_own_says_that_a_module_is_not_found(factory: str):
    with pytest.raises(ModelError, match=r"names the module .* which is not found"):
        Own(factory=factory).build(Form.of((3,), 2))


def test_own_refuses_a_factory_without_a_name():
    with pytest.raises(RecipeError, match=r"model.factory is 'net.py'; it must be file.py:Name or package.module:Name"):
        Own(factory="net.py")


def test_own_takes_a_callable_and_keeps_it_through_replace():
    class Local(nn.Linear):
        def __init__(self, inputs: tuple[int, ...], outputs: int, bias: bool = True) -> None:
            super().__init__(inputs[0], outputs, bias)

    own = Own.of(Local, bias=False)
    assert isinstance(own.build(Form.of((3,), 2)), Local)
    biased = own.replace(arguments={"bias": True}).build(Form.of((3,), 2))
    assert isinstance(biased, Local)
    assert biased.bias is not None
    read_back = Own.parse(own.as_data())  # a recipe in a file knows the name alone
    with pytest.raises(ModelError, match="made inside a function and cannot be found again"):
        read_back.build(Form.of((3,), 2))
    assert isinstance(Own.parse(Own.of(Gives, what=1).as_data()).build(Form.of((3,), 2)), nn.Module)
