"""Networks with weights of their own: files with a strict report, what is frozen, rates by depth, LoRA. No library is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tuneful.core.errors import ModelError, RecipeError
from tuneful.core.form import Form
from tuneful.core.recipe import Recipe
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline.codec import Entry, decode
from tuneful.pipeline.export import export
from tuneful.pipeline.train import Run
from tuneful.techniques.inits import He, apply_
from tuneful.techniques.models import MLP, Pretrained, ResNet, ViT, check, make, merged_
from tuneful.techniques.models.depth import layers
from tuneful.techniques.models.lora import Lora, adapt_
from tuneful.techniques.models.weights import load_

FORM = Form.of((1, 8, 8), 3)
BODY = {"depth": 8, "width": 4}


def resnet(form: Form = FORM) -> nn.Module:
    net = ResNet(depth=8, width=4).build(form)
    apply_(net, He(), 5)
    torch.manual_seed(0)
    net(torch.randn(16, *form.shape))
    return net.eval()


@pytest.fixture
def file(tmp_path: Path) -> str:
    save_file(resnet().state_dict(), tmp_path / "w.safetensors")
    return str(tmp_path / "w.safetensors")


@pytest.fixture
def task() -> Task:
    dice = np.random.default_rng(0)

    def split(n: int) -> Split:
        y = dice.integers(0, 3, n)
        x = dice.normal(size=(n, 1, 8, 8)).astype("f4")
        x[np.arange(n), 0, y * 2] += 2
        return Split(x, y)

    return Task(
        "rows", "multiclass", (1, 8, 8), ("a", "b", "c"), split(96), split(60), Sealed(split(60)), Objective("accuracy", "max"),
        "4" * 32, {"kind": "image", "shape": [1, 8, 8]},
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ files


def test_a_file_fills_a_network_of_ours(file: str):
    net = make(Pretrained(name="resnet", weights=file, arguments=BODY), FORM).eval()
    x = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(net(x), resnet()(x))


def test_another_task_gets_a_new_head_and_the_old_body(file: str):
    net = make(Pretrained(name="resnet", weights=file, arguments=BODY), FORM.with_outputs(7))
    assert check(net, FORM.with_outputs(7))
    old = resnet().state_dict()
    same = [name for name, tensor in net.state_dict().items() if torch.equal(tensor, old[name])]
    assert sorted(set(old) - set(same)) == ["9.bias", "9.weight"]


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (lambda state: state.pop("0.weight"), ["missing: 0.weight"]),
        (lambda state: state.update(extra=torch.zeros(1)), ["unexpected: extra"]),
        (
            lambda state: state.update({"0.weight": torch.zeros(2, 2)}),
            [r"of another shape: 0.weight \(\[2, 2\] in the file, \[4, 1, 3, 3\] in the network\)"],
        ),
        (
            lambda state: (
                [state.pop(name) for name in list(state) if name.startswith("4.")] + [state.update(other=torch.zeros(1))]
            ),
            ["missing: 4.branch.0.weight, .* and 7 more; unexpected: other"],
        ),
    ],
)
def test_every_key_that_does_not_fit_is_told_and_nothing_is_loaded(tmp_path: Path, change, sentences):
    state = {name: tensor + 1 for name, tensor in resnet().state_dict().items()}
    change(state)
    save_file(state, tmp_path / "w.safetensors")
    net = resnet()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for sentence in sentences:
        with pytest.raises(ModelError, match=sentence):
            load_(net, tmp_path / "w.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_file_that_is_none_or_of_another_format_is_told(tmp_path: Path):
    with pytest.raises(ModelError, match=r"no.safetensors, which does not exist"):
        load_(resnet(), tmp_path / "no.safetensors")
    (tmp_path / "w.pt").write_bytes(b"\x80\x02} nothing")
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        load_(resnet(), tmp_path / "w.pt")


def test_a_network_of_ones_own_is_filled(tmp_path: Path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef net(outputs, width: int = 5):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, outputs))\n"
    )
    state = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 3)).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    model = Pretrained(name=f"{tmp_path}/net.py:net", weights=str(tmp_path / "w.safetensors"), arguments={"width": 6})
    assert torch.equal(make(model, FORM).state_dict()["1.weight"], state["1.weight"])
    with pytest.raises(ModelError, match=r"of another shape: 1.weight"):
        make(model.replace(arguments={}), FORM)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "nowhere"}, "model.name is nowhere, which is no folder; its weights are told neither"),
        ({"name": "resnte", "weights": "w"}, "no model of ours; did you mean resnet?"),
    ],
)
def test_a_name_that_means_nothing_is_told(settings: dict[str, str], sentence: str):
    with pytest.raises(ModelError, match=sentence.replace("?", r"\?")):
        make(Pretrained(**settings), FORM)


def test_settings_that_contradict_one_another_are_told():
    with pytest.raises(RecipeError, match=r"lora is 4 and train all: no weight is frozen"):
        Pretrained(name="x", lora=4)
    with pytest.raises(RecipeError, match=r"train is 'last'; it must be all, head or last:N"):
        Pretrained(name="x", train="last")


# ------------------------------------------------------------------------------------------------ what learns


@pytest.mark.parametrize(("train", "parts"), [("head", {"9"}), ("last:1", {"9", "5"}), ("last:2", {"9", "5", "4"})])
def test_only_what_shall_learn_learns(file: str, task: Task, train: str, parts: set[str]):
    model = Pretrained(name="resnet", weights=file, arguments=BODY, train=train)
    run = Run(task, Recipe(model=model, epochs=2.0, threads=1, regularizers=()), device="cpu")
    before = {name: tensor.clone() for name, tensor in run.body.state_dict().items()}
    list(run)
    moved = {name for name, tensor in run.body.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[1] for name in moved} == parts  # statistics of norms are state too, and stay


def test_more_layers_than_there_are_is_told(file: str):
    with pytest.raises(ModelError, match=r"model.train is last:9; resnet has 4 layers before its head"):
        make(Pretrained(name="resnet", weights=file, arguments=BODY, train="last:9"), FORM)


def test_early_layers_have_lower_rates(file: str, task: Task):
    model = Pretrained(name="resnet", weights=file, arguments=BODY, fade=0.5)
    run = Run(task, Recipe(model=model, epochs=1.0, threads=1), device="cpu")
    rate = {id(p): group["initial_lr"] for group in run.optimizer.param_groups for p in group["params"]}
    base = run.plan.optimizer.lr
    told = {name.split(".")[0]: rate[id(p)] / base for name, p in run.body.named_parameters()}
    assert told == {"9": 1, "5": 0.5, "4": 0.25, "3": 0.125, "0": 0.0625, "1": 0.0625}
    assert {group["decay"] if "decay" in group else group["weight_decay"] for group in run.optimizer.param_groups} == {
        0.0, run.plan.optimizer.decay,
    }  # fmt: skip
    list(run)


def test_an_init_may_not_overwrite_the_weights(file: str, task: Task):
    model = Pretrained(name="resnet", weights=file, arguments=BODY)
    with pytest.raises(RecipeError, match=r"init is he; it would overwrite the weights that model.pretrained comes with"):
        Run(task, Recipe(model=model, init=He()), device="cpu")


def test_layers_come_in_their_order_with_norms_beside_them():
    order = layers(ViT(width=12, depth=2).build(FORM))
    assert [names[0] for names in order] == ["0.places", "1.norm1.weight", "2.norm1.weight", "6.weight"]
    assert "3.weight" in order[2]  # the last norm
    net = MLP(width=4).build(FORM)
    assert sorted(name for names in layers(net) for name in names) == sorted(name for name, _ in net.named_parameters())


# ------------------------------------------------------------------------------------------------ LoRA


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Linear(5, 7), torch.randn(3, 4, 5)),
        (nn.Embedding(11, 6, padding_idx=0), torch.randint(0, 11, (3, 4))),
        (nn.Conv1d(4, 6, 3, padding=1), torch.randn(2, 4, 9)),
        (nn.Conv2d(4, 6, 3, stride=2, groups=2, dilation=2), torch.randn(2, 4, 9, 9)),
        (nn.Conv2d(4, 8, 3, padding="same", padding_mode="reflect", bias=False), torch.randn(2, 4, 9, 9)),
    ],
    ids=["linear", "embedding", "conv1d", "grouped", "reflect"],
)
def test_a_merged_difference_is_the_same_function(layer: nn.Module, x: Tensor):
    layer = layer.double()
    x = x.double() if x.is_floating_point() else x
    net = nn.Sequential(layer)
    before = net(x)
    assert adapt_(net, 2, 6.0, lambda _: True) == ["0"]
    assert torch.equal(net(x), before)  # the difference is zero at first
    net(x).square().sum().backward()
    assert {name for name, p in net.named_parameters() if p.grad is not None} == {"0.down", "0.up"}
    with torch.no_grad():
        net[0].up.normal_()
    learned = net(x)
    assert not torch.allclose(learned, before)
    whole = learned if not isinstance(layer, nn.Embedding) else torch.where((x == 0)[..., None], before, learned)
    torch.testing.assert_close(merged_(net)(x), whole, rtol=1e-6, atol=1e-6)
    assert net[0] is layer


def test_what_cannot_be_adapted_is_left_alone():
    net = nn.ModuleDict(
        {
            "attention": nn.MultiheadAttention(8, 2),
            "in": nn.Embedding(9, 8),
            "out": nn.Linear(8, 9),
            "up": nn.ConvTranspose2d(1, 1, 2),
        }
    )
    net["out"].weight = net["in"].weight
    assert adapt_(net, 2, 2.0, lambda _: True) == []


def test_lora_learns_and_is_exported_merged(file: str, task: Task):
    words = f"model=pretrained name=resnet weights={file} arguments.depth=8 arguments.width=4 train=head lora=2 lora_at=4.*"
    recipe, _ = decode([Entry(*word.split("=", 1)) for word in [*words.split(), "epochs=3", "threads=1", "lr=0.02"]])
    run = Run(task, recipe, device="cpu")
    learned = {name.removeprefix("net.") for name, p in run.body.named_parameters() if p.requires_grad}
    adapters = {f"4.{where}.{part}" for where in ("branch.0", "branch.3", "beside.0") for part in ("down", "up")}
    assert learned == adapters | {"9.weight", "9.bias"}
    list(run)
    network = run.candidate().network
    assert any(isinstance(m, Lora) and bool(m.up.any()) for m in network.modules())
    data = export(network, task)
    assert any(isinstance(m, Lora) for m in network.modules())  # the network itself stays as it is
    x = task.valid.x
    given = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    with torch.no_grad():
        np.testing.assert_allclose(given, network(torch.from_numpy(x)).softmax(1).numpy(), rtol=1e-3, atol=1e-5)
    import onnx

    plain = onnx.load_from_string(export(resnet(), task))
    assert len(onnx.load_from_string(data).graph.node) <= len(plain.graph.node) + 1  # nothing of the adapters is in it


def test_a_pattern_that_fits_no_layer_is_told(file: str):
    with pytest.raises(ModelError, match=r"model.lora_at is 77, which fits no frozen Linear"):
        make(Pretrained(name="resnet", weights=file, arguments=BODY, train="head", lora=2, lora_at="77"), FORM)
