"""Shipping: the ONNX file answers as torch does, tells nothing of the machine, and is refused when it would mislead."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load as load_tensors
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor, nn

from tuneful import runtime
from tuneful.core.artifact import LAYOUT, seal, unseal
from tuneful.core.errors import ArtifactError, DataError, ModelError, ParityError, StorageError, TunefulError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline.candidate import Candidate, Network, ends
from tuneful.pipeline.export import export, served
from tuneful.pipeline.ship import latency, parity, ship
from tuneful.runtime.load import open_session

TABLE = {
    "kind": "table",
    "features": ["age", "town=Ulm", "town=Bonn"],
    "columns": [
        {
            "name": "age",
            "type": "number",
            "fill": 40.0,
            "mean": 40.0,
            "std": 10.0,
            "indicator": False,
            "words": [],
            "decimal": ".",
        },
        {
            "name": "town",
            "type": "category",
            "levels": ["Ulm", "Bonn"],
            "other": False,
            "indicator": False,
            "numeric": False,
        },
    ],
    "missing": [],
}


def make_task(kind: str, x: np.ndarray, y: np.ndarray, schema: dict[str, Any], **more: Any) -> Task:
    third = len(x) // 3
    train, valid, test = (Split(x[i * third : (i + 1) * third], y[i * third : (i + 1) * third]) for i in range(3))
    labels = () if kind == "regression" else tuple(f"digit {i}" for i in range(int(y.max()) + 1))
    goal = Objective("rmse", "min") if kind == "regression" else Objective("accuracy", "max")
    shape = tuple(x.shape[1:])
    return Task("made", kind, shape, labels, train, valid, Sealed(test), goal, "f00d", schema, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def digits() -> Task:
    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 1, 8, 8).astype(np.uint8)
    schema = {"kind": "image", "shape": [1, 8, 8], "dtype": "float32"}
    return make_task("multiclass", x, y, schema, normalize={"mean": [4.9], "std": [6.0]})


@pytest.fixture(scope="module")
def houses() -> Task:
    x, y = load_diabetes(return_X_y=True)
    x, y = x.astype(np.float32), (1000 * y).astype(np.float32)
    schema = {"kind": "vector", "shape": [10]}
    return make_task("regression", x, y, schema, target={"mean": float(y.mean()), "std": float(y.std()), "name": "progress"})


@pytest.fixture(scope="module")
def people() -> Task:
    dice = np.random.default_rng(0)
    x = dice.normal(size=(30, 3)).astype(np.float32)
    return make_task("binary", x, np.arange(30) % 2, TABLE)


def network(task: Task, *body: nn.Module) -> Network:
    torch.manual_seed(0)
    front, back = ends(task)
    return Network(front, nn.Sequential(*body) if body else nn.Linear(task.shape[0], task.outputs), back)


def convnet(task: Task) -> Network:
    net = network(
        task,
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(96, 10),
    )
    with torch.no_grad():  # statistics that are not those of a fresh network
        for _ in range(20):
            net.train()(torch.from_numpy(task.train.x[:64].astype(np.float32)))
    return net


EVIDENCE: dict[str, Any] = {
    "format": 1,
    "headline": "It is right in 9 of 10 cases",
    "task": {"name": "made"},
    "steps": 20,
    "test": {"accuracy": {"value": 0.9, "low": 0.85, "high": 0.94, "n": 599, "unit": "", "how": "Wilson 95 %"}},
}


@pytest.fixture(scope="module")
def net(digits: Task) -> Network:
    return convnet(digits)


@pytest.fixture(scope="module")
def shipped(digits: Task, net: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ship") / "artifact"
    evidence = EVIDENCE | {"task": digits.summary()}
    ship(digits, Candidate(net, Recipe(), steps=20), evidence, folder)
    return folder


@pytest.fixture(scope="module")
def linear(houses: Task) -> tuple[Network, bytes]:
    """A network and its ONNX file."""
    net = network(houses)
    return net, export(net, houses)


def torch_answers(net: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return torch.softmax(net.eval()(torch.from_numpy(x.astype(np.float32))), dim=-1).numpy()


# The artifact


def test_the_runtime_answers_as_torch_does_for_any_number_of_rows(shipped: Path, digits: Task, net: Network):
    model = runtime.load(shipped)
    wanted = torch_answers(net, digits.valid.x)
    for rows in (1, 2, 7, 255, 256, 257, 599):
        got = model.probabilities(digits.valid.x[:rows])
        np.testing.assert_allclose(got, wanted[:rows], atol=1e-5)
    names = model.predict(digits.valid.x)
    assert list(names) == [f"digit {i}" for i in wanted.argmax(axis=1)]
    assert model.predict(digits.valid.x[:0]).shape == (0,)
    assert model.probabilities(digits.valid.x[:0]).shape == (0, 10)


def test_every_file_is_there_and_says_what_it_must(shipped: Path, digits: Task):
    artifact = unseal(shipped)
    assert set(artifact.names) == {*LAYOUT, "reference.json"}
    assert artifact.read("labels.json") == list(digits.labels)
    facts = artifact.read("preprocessing.json")
    assert facts["kind"] == "multiclass"
    assert facts["schema"] == digits.schema
    assert facts["normalize"] == {"mean": [4.9], "std": [6.0]}
    assert artifact.read("recipe.json") == json.loads(json.dumps(Recipe().as_data()))


def test_the_evidence_tells_parity_and_latency_with_intervals(shipped: Path):
    told = unseal(shipped).read("evidence.json")
    assert told["headline"] == EVIDENCE["headline"]
    assert told["export"]["bytes"] == (shipped / "model.onnx").stat().st_size
    found = told["export"]["parity"]
    assert found["rows"] == 599
    assert found["largest_difference"] <= found["tolerance"] == 1e-4
    assert found["agreement"]["value"] == 1.0
    assert found["metric"]["name"] == "accuracy"
    assert found["metric"]["difference"]["value"] == 0.0
    assert found["metric"]["difference"]["n"] == 599
    assert told["export"]["memory"]["bytes"] >= 0
    assert 0.99 < found["agreement"]["low"] < 1.0
    for batch in ("1", "64"):
        time = told["export"]["latency"][batch]
        assert 0 < time["low"] <= time["value"] <= time["high"]
        assert time["unit"] == "ms"
        assert time["n"] >= 5


def test_onnx_accepts_the_model_and_it_is_of_the_stated_opset(shipped: Path):
    model = onnx.load(shipped / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    told = unseal(shipped).read("evidence.json")["export"]["opset"]
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == told
    assert [each.name for each in model.graph.input] == ["x"]
    assert [each.name for each in model.graph.output] == ["probabilities"]
    assert model.producer_name == "tuneful"


def test_the_model_names_no_file_class_or_line_of_this_machine(shipped: Path):
    data = (shipped / "model.onnx").read_bytes()
    for word in (b"site-packages", b".py", b"/home", b"/root", b"/tmp", b"stack_trace", b"torch.nn", b"class_hierarchy"):
        assert word not in data
    model = onnx.load_model_from_string(data)
    assert {entry.key: json.loads(entry.value) for entry in model.metadata_props} == {
        "labels": unseal(shipped).read("labels.json")
    }
    model.ClearField("metadata_props")
    assert all(word not in str(model) for word in ("metadata_props", "doc_string"))


def test_the_weights_are_the_networks_own(shipped: Path, net: Network):
    tensors = load_tensors((shipped / "weights.safetensors").read_bytes())
    state = net.state_dict()
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[name], state[name]) for name in state)


def test_the_card_holds_the_nine_sections_and_the_figures(shipped: Path):
    text = unseal(shipped).read("card.md")
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses",
        "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip
    assert "| accuracy | 0.90 | [0.85, 0.94] | 599 |" in " ".join(text.split())  # whatever kind of space is used
    assert "nobody has reviewed them" in text
    assert "None" not in text
    assert "nan" not in text


def test_shipping_leaves_the_network_as_it_was(digits: Task, tmp_path: Path):
    net = convnet(digits).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.random.get_rng_state()
    ship(digits, Candidate(net, Recipe(), steps=1), {}, tmp_path / "a")
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), random)


def test_a_regression_gives_values_in_the_targets_unit(houses: Task, tmp_path: Path):
    net = network(houses)
    artifact = ship(houses, Candidate(net, Recipe(), steps=1), {}, tmp_path / "a")
    model = runtime.load(tmp_path / "a")
    with torch.no_grad():
        wanted = net(torch.from_numpy(houses.valid.x)).squeeze(-1).numpy()
    assert wanted.std() > 1
    np.testing.assert_allclose(model.predict(houses.valid.x), wanted, rtol=1e-5)
    assert artifact.read("evidence.json")["export"]["parity"]["tolerance"] > 1
    with pytest.raises(ModelError, match="a regression has no probabilities"):
        model.probabilities(houses.valid.x)


def test_a_table_is_served_from_columns_and_from_rows(people: Task, tmp_path: Path):
    net = network(people)
    ship(people, Candidate(net, Recipe(), steps=1), {}, tmp_path / "a")
    model = runtime.load(tmp_path / "a")
    wanted = torch_answers(net, np.array([[1.0, 1, 0], [-1.0, 0, 1]]))
    np.testing.assert_allclose(model.probabilities({"age": [50, 30], "town": ["Ulm", "Bonn"]}), wanted, atol=1e-6)
    np.testing.assert_allclose(
        model.probabilities([{"age": 50, "town": "Ulm"}, {"age": 30, "town": "Bonn"}]), wanted, atol=1e-6
    )
    with pytest.raises(DataError, match='column "town" is missing'):
        model.predict({"age": [50]})
    with pytest.raises(DataError, match="'old' in row 1; it must be a number"):
        model.predict([{"age": "old", "town": "Ulm"}])
    for odd in (float("inf"), "-inf", "1e999", 10**400):  # age missed nothing in training
        with pytest.raises(DataError, match=r'column "age" holds .* in row 2, which is no finite number'):
            model.predict({"age": [30, odd], "town": ["Ulm", "Ulm"]})


def test_the_runtime_takes_image_files(shipped: Path, digits: Task, tmp_path: Path):
    image = pytest.importorskip("PIL.Image", reason="image files need Pillow")
    image.fromarray(digits.valid.x[0, 0]).save(tmp_path / "one.png")
    model = runtime.load(shipped)
    np.testing.assert_array_equal(model.probabilities([tmp_path / "one.png"]), model.probabilities(digits.valid.x[:1]))


@pytest.mark.parametrize("shape", [(3, 1, 9, 9), (3, 2, 8, 8), (64,), (3, 64), (1, 1, 1, 8, 8)])
def test_a_wrong_shape_is_told(shipped: Path, shape: tuple[int, ...]):
    with pytest.raises(DataError, match=r"the images have shape .* it must be \[N, 1, 8, 8\]"):
        runtime.load(shipped).predict(np.zeros(shape))


def test_wrong_types_and_numbers_are_told(shipped: Path):
    model = runtime.load(shipped)
    with pytest.raises(DataError, match="it must be numbers"):
        model.predict(np.full((1, 1, 8, 8), "a"))
    with pytest.raises(DataError, match="64 of 64 values are NaN or infinite"):
        model.predict(np.full((1, 1, 8, 8), np.nan))
    with pytest.raises(TunefulError, match="threads is 0; it must be at least 1"):
        runtime.load(shipped, threads=0)


def test_threads_are_pinned_and_may_share_one_model(shipped: Path, digits: Task):
    model = runtime.load(shipped, threads=2)
    assert model._session.get_session_options().intra_op_num_threads == 2  # type: ignore[attr-defined]
    wanted, found = model.predict(digits.valid.x), []
    workers = [threading.Thread(target=lambda: found.append(model.predict(digits.valid.x))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4
    assert all(np.array_equal(each, wanted) for each in found)


# What may go wrong while shipping


class Draws(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1] + torch.rand_like(x[:, :1])


def test_a_network_that_acts_by_chance_is_refused_with_the_difference(houses: Task, tmp_path: Path):
    with pytest.raises(ModelError, match=r"differs from torch by \S+ on 147 validation rows \(\d+ of them agree\); at most"):
        ship(houses, Candidate(network(houses, Draws()), Recipe(), steps=1), {}, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


def test_the_layer_where_an_export_parts_from_its_network_is_named(houses: Task, tmp_path: Path):
    body = network(houses, nn.Linear(10, 8), nn.Tanh(), Noisy(), nn.Linear(8, 1))
    wanted = r"they part at rand\w* \(aten\.rand\S* of body\.2, a Noisy\), by \S+ of its size; up to tanh they agree"
    with pytest.raises(ParityError, match=wanted) as caught:
        ship(houses, Candidate(body, Recipe(), steps=1), {}, tmp_path / "a")
    assert caught.value.exit_code == 3


def test_a_network_that_diverged_is_refused(houses: Task, linear: tuple[Network, bytes]):
    net = network(houses)
    with torch.no_grad():
        net.body.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="gives 147 of 147 answers that are not finite on the validation split"):
        parity(served(net, "regression"), open_session(linear[1]), houses)


def test_another_networks_file_is_refused(houses: Task, linear: tuple[Network, bytes]):
    other = network(houses)
    with torch.no_grad():
        other.body.weight.mul_(1.01)
    with pytest.raises(ParityError, match="each inner value of a second export agrees, so the file is of another network"):
        parity(served(other, "regression"), open_session(linear[1]), houses)


def test_a_full_disk_while_shipping_keeps_the_old_artifact(people: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    candidate = Candidate(network(people), Recipe(), steps=1)
    ship(people, candidate, {"headline": "first"}, tmp_path / "a")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(StorageError, match="the disk is full"):
            ship(people, candidate, {"headline": "second"}, tmp_path / "a")
    assert unseal(tmp_path / "a").read("evidence.json")["headline"] == "first"


def test_latency_stays_within_its_time(houses: Task, linear: tuple[Network, bytes]):
    found = latency(open_session(linear[1]), houses, 64)
    assert found.n == 200
    assert found.value < 200


# Parts that do not belong together


def test_a_model_of_another_task_is_refused(shipped: Path, people: Task, linear: tuple[Network, bytes], tmp_path: Path):
    artifact = unseal(shipped)
    files = {name: artifact.raw(name) for name in artifact.names}
    seal(tmp_path / "a", files | {"model.onnx": linear[1]}, version="1")
    with pytest.raises(ArtifactError, match=r"has \['x'\] -> \['value'\]; it must have \['x'\] -> \['probabilities'\]"):
        runtime.load(tmp_path / "a")
    seal(tmp_path / "b", files | {"model.onnx": export(network(people), people)}, version="1")
    with pytest.raises(
        ArtifactError, match=r"takes tensor\(float\) \[3\]; preprocessing\.json gives tensor\(float\) \[1, 8, 8\]"
    ):
        runtime.load(tmp_path / "b")
    seal(tmp_path / "c", files | {"labels.json": ["yes", "no"]}, version="1")
    with pytest.raises(ArtifactError, match=r"gives \[10\] numbers an example; labels\.json has 2 labels"):
        runtime.load(tmp_path / "c")
    seal(tmp_path / "d", files | {"preprocessing.json": {"kind": "multiclass"}}, version="1")
    with pytest.raises(ArtifactError, match=r"preprocessing\.json or labels\.json is not as `ship` writes it"):
        runtime.load(tmp_path / "d")


def test_plain_onnxruntime_gives_the_same_without_us(shipped: Path, digits: Task):
    session = onnxruntime.InferenceSession(str(shipped / "model.onnx"), providers=["CPUExecutionProvider"])
    x = digits.valid.x[:5].astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], runtime.load(shipped).probabilities(x), atol=1e-6)
