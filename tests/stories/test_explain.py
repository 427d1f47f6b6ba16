"""Explanations: the second output of the graph is Zhou's map, checked against torch's own layers, and reaches people by every way."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from tuneful.cli import main
from tuneful.core.artifact import seal
from tuneful.core.errors import ModelError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline.candidate import Candidate, Network, ends
from tuneful.pipeline.explain import explained
from tuneful.pipeline.export import export
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.ship import ship
from tuneful.runtime.explain import picture
from tuneful.runtime.load import Model, load
from tuneful.runtime.serve.app import App
from tuneful.runtime.serve.journal import Journal
from tuneful.runtime.serve.limits import Limits
from tuneful.runtime.serve.metrics import Metrics
from tuneful.runtime.serve.placed import places
from tuneful.runtime.serve.shelf import Shelf
from tuneful.runtime.serve.tokens import Tokens
from tuneful.runtime.verified import verified
from tuneful.techniques.compressors import StaticInt8
from tuneful.techniques.interfaces import Sight


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, dice = tmp_path_factory.mktemp("pets"), np.random.default_rng(0)
    for label in ("cat", "dog", "eel"):
        (folder / label).mkdir()
        for at in range(12):
            Image.fromarray(dice.integers(0, 255, (16, 12, 3), dtype=np.uint8)).save(folder / label / f"{at}.png")
    return folder


@pytest.fixture(scope="module")
def shipped(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, Network, Path]:
    """An untrained network that ends in a mean and one linear layer, as an artifact."""
    task = prepare(str(pets))
    torch.manual_seed(0)
    front, back = ends(task)
    body = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(6, 3),
    )  # fmt: skip
    net = Network(front, body, back).eval()
    folder = tmp_path_factory.mktemp("explained") / "artifact"
    ship(task, Candidate(net, Recipe(), steps=0), {"headline": "untrained", "task": task.summary()}, folder)
    return task, net, folder


@pytest.fixture(scope="module")
def model(shipped: tuple[Task, Network, Path]) -> Model:
    return load(shipped[2])


def made(*nodes: str, kind: str = "multiclass") -> tuple[bytes, Task]:
    """A graph of three maps of 4x4 places, written out, and a task that it would suit."""
    output = "float[N] value" if kind == "regression" else "float[N,2] probabilities"
    weights = {
        "axes": np.array([2, 3]), "last": np.array([3]), "odd": np.zeros((9, 2), np.float32), "line": np.array([-1, 2]), "flat": np.array([-1, 48]), "w": np.array([[1, 2, 3], [0, -1, 1.0]], np.float32),
        "b": np.array([0.5, -0.5], np.float32), "wide": np.ones((2, 48), np.float32), "one": np.array([-1]),
        "v": np.array([[1, 2, 3.0]], np.float32), "std": np.array(10, np.float32),
    }  # fmt: skip
    text = f'<ir_version: 8, opset_import: ["" : 18]> made (float[N,3,4,4] x) => ({output}) {{ {" ".join(nodes)} }}'
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in weights.items())
    split = Split(np.random.default_rng(0).normal(size=(9, 3, 4, 4)).astype(np.float32), np.zeros(9, np.int64))
    goal = Objective("rmse", "min") if kind == "regression" else Objective("accuracy", "max")
    labels = () if kind == "regression" else ("a", "b")
    task = Task("made", kind, (3, 4, 4), labels, split, split, Sealed(split), goal, "f00d", {"kind": "image"})
    return model.SerializeToString(), task


def test_the_map_is_the_last_layer_asked_at_each_place(shipped, model):
    task, net, _ = shipped
    x = np.asarray(task.valid.x)
    with torch.no_grad():
        features = net.body[:3](net.front(torch.from_numpy(x.astype(np.float32))))  # [N, 6, 8, 6]
        wanted = torch.einsum("lc,nchw->nlhw", net.body[-1].weight, features) + net.body[-1].bias[:, None, None]
    maps = model.maps(x)
    assert maps.shape == (len(x), 3, *model.sides)
    np.testing.assert_allclose(maps, wanted.numpy(), atol=1e-4)
    p = model.probabilities(x)
    np.testing.assert_allclose(torch.softmax(torch.from_numpy(maps).mean(dim=(2, 3)), dim=1), p, atol=1e-5)
    np.testing.assert_array_equal(model.explain(x), maps[np.arange(len(x)), p.argmax(axis=1)])
    np.testing.assert_array_equal(model.explain(x, "eel"), maps[:, 2])
    with pytest.raises(ModelError, match="there is no 'cow' to explain"):
        model.explain(x, "cow")


def test_verify_finds_a_map_that_belongs_to_another_answer(shipped, tmp_path):
    folder = shipped[2]
    (told,) = (check for check in verified(folder) if check.name == "explanation")
    assert told.holds
    assert "add up to the answers" in told.said
    forged = onnx.load(folder / "model.onnx")
    (weight,) = (one for one in forged.graph.initializer if one.name == "map_weight")
    weight.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(weight), "map_weight"))
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
    seal(tmp_path / "forged", {**files, "model.onnx": forged.SerializeToString()}, "0.1.0")
    (told,) = (check for check in verified(tmp_path / "forged") if check.name == "explanation")
    assert told.holds is False
    assert "the maps of noise lie" in told.said


MEAN = "m = ReduceMean <keepdims = 0> (x, axes)"
LINEAR = "z = Gemm <transB = 1> (m, w, b)"
SOFT = "probabilities = Softmax (z)"


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        (("f = Reshape (x, flat)", "z = Gemm <transB = 1> (f, wide, b)", SOFT), "nothing in it is a mean over places"),
        ((MEAN, "h = Gemm <transB = 1> (m, w, b)", "z = Relu (h)", SOFT), "its answer comes from Relu, not from a mean over places"),
        (("p = ReduceMax <keepdims = 0> (x, axes)", "z = Gemm <transB = 1> (p, w, b)", SOFT), "last linear layer comes from ReduceMax"),
        ((MEAN, LINEAR, "p = Softmax (z)", "q = Sigmoid (z)", "probabilities = Add (p, q)"), "several ways lead to its answer"),
        ((MEAN, "h = Gemm <transB = 1> (m, w, b)", "z = Add (h, odd)", SOFT), "spelled in a way that is not read here"),
        (("m = ReduceMean <keepdims = 0> (x, last)", "h = Reshape (m, flat)", "probabilities = Softmax (h)"), "over the places of maps"),
    ],
)  # fmt: skip
def test_a_graph_with_another_end_says_why_it_has_no_map(nodes, why):
    model, task = made(*nodes)
    same, told = explained(model, task)
    assert same == model
    assert told["kind"] is None
    assert why in told["why_not"]


@pytest.mark.parametrize(
    ("kind", "nodes"),
    [
        ("multilabel", (MEAN, LINEAR, "probabilities = Sigmoid (z)")),
        ("multiclass", ("m = GlobalAveragePool (x)", "f = Flatten (m)", "t = Transpose (w)", "y = MatMul (f, t)", "z = Add (y, b)", SOFT)),
        ("regression", (MEAN, "z = Gemm <transB = 1> (m, v)", "y = Mul (z, std)", "value = Reshape (y, one)")),
    ],
)  # fmt: skip
def test_labels_values_and_other_spellings_have_maps_too(kind, nodes):
    found, told = explained(*made(*nodes, kind=kind))
    assert told["shape"] == [4, 4]
    assert told["largest_difference"] < 1e-6
    x = np.random.default_rng(1).normal(size=(2, 3, 4, 4)).astype(np.float32)
    (maps,) = onnxruntime.InferenceSession(found).run(["map"], {"x": x})
    w, b = (
        (10 * np.array([[1, 2, 3.0]]), [0.0]) if kind == "regression" else (np.array([[1, 2, 3], [0, -1, 1.0]]), [0.5, -0.5])
    )
    np.testing.assert_allclose(maps, np.einsum("lc,nchw->nlhw", w, x) + np.reshape(b, (-1, 1, 1)), atol=1e-5)


def test_what_improve_made_is_served_and_explained_like_any_other(shipped, tmp_path):
    task, net, folder = shipped
    x = np.asarray(task.train.x, dtype=np.float32)
    look = Sight(x, torch.from_numpy(x), torch.zeros(len(x)), lambda z, wanted: z.sum(), 0)
    small = StaticInt8().on_graph(export(net, task), look)
    evidence = {"headline": "quantized", "task": task.summary()}
    ship(task, Candidate(net, Recipe(), steps=0, graph=small), evidence, tmp_path / "small")
    told = load(tmp_path / "small").artifact.read("evidence.json")["export"]["explanation"]
    assert told["tolerance"] is None  # inner values are rounded to eight bits, so that a map adds up to nearly what was said
    assert told["largest_difference"] < 0.05
    assert {check.name for check in verified(tmp_path / "small") if check.holds is False} == set()
    model = load(tmp_path / "small")
    app = serving(tmp_path / "small")
    rows = np.asarray(task.valid.x[:4])
    status, told = asked(app, "/predict/pets", b"explain=true", {"rows": rows.tolist()})
    assert status == 200, told
    assert [one["prediction"] for one in told["predictions"]] == model.predict(rows).tolist()
    p = [[one["probabilities"][label] for label in model.labels] for one in told["predictions"]]
    np.testing.assert_allclose(p, model.probabilities(rows), atol=1e-5)
    np.testing.assert_allclose(p, load(folder).probabilities(rows), atol=0.05)  # as the network that was quantized, nearly


def test_a_picture_is_brightest_where_the_map_is():
    heat = np.zeros((4, 4))
    heat[3, 0] = 5.0
    image = np.asarray(Image.open(io.BytesIO(picture(np.full((3, 16, 16), 100, np.uint8), heat))))
    assert image.shape == (256, 256, 3)
    assert image[240, 15].sum() > 2 * image[15, 240].sum()


def test_predict_writes_a_picture_for_each_image_and_says_where(shipped, pets, tmp_path):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["predict", str(shipped[2]), str(pets / "cat"), "--explain", str(tmp_path / "heat")]) == 0
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert len(rows) == 12
    for row in rows:
        with Image.open(row["explanation"]) as image:
            assert min(image.size) >= 256


def serving(folder: Path) -> App:
    """A server's application in this process."""
    limits = Limits()
    shelf = Shelf(limits, 1, foreign=False)
    shelf.fill(places([f"pets={folder}"]))
    return App(shelf, limits, Tokens({}), Journal("none"), Metrics(), "1")


def asked(app: App, path: str, query: bytes, body: Any) -> tuple[int, Any]:
    """(status, JSON) of one POST to an app in this process."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": query,
        "headers": [(b"content-type", b"application/json")],
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_a_server_explains_when_it_is_asked(shipped, model):
    task, _, folder = shipped
    app = serving(folder)
    x = np.asarray(task.valid.x[:2])
    status, told = asked(app, "/predict/pets", b"explain=true", {"rows": x.tolist()})
    assert status == 200, told
    for at, one in enumerate(told["predictions"]):
        assert one["explanation"]["label"] == one["prediction"]
        np.testing.assert_allclose(one["explanation"]["map"], model.explain(x)[at], atol=1e-4)
        Image.open(io.BytesIO(base64.b64decode(one["explanation"]["picture"].partition(",")[2])))
    assert "explanation" not in asked(app, "/predict/pets", b"", {"rows": x.tolist()})[1]["predictions"][0]
    tensor = {"name": "x", "shape": list(x.shape), "datatype": "UINT8", "data": x.ravel().tolist()}
    infer = "/v2/models/pets/infer"
    usual = asked(app, infer, b"", {"inputs": [tensor]})[1]["outputs"]
    assert [one["name"] for one in usual] == ["probabilities", "prediction"]
    (maps,) = asked(app, infer, b"", {"inputs": [tensor], "outputs": [{"name": "map"}]})[1]["outputs"]
    np.testing.assert_allclose(np.reshape(maps["data"], maps["shape"]), model.maps(x), atol=1e-5)
    status, told = asked(app, "/predict/pets", b"explian=true", {"rows": x.tolist()})
    assert (status, told["error"]) == (400, "?explian=true means nothing here")
