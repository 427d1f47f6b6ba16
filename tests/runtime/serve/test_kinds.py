"""Every kind of model is served: what HTTP says is what the loaded artifact says, in words and in tensors."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tuneful
from tuneful.core.recipe import Recipe
from tuneful.pipeline.candidate import Candidate, Network, ends
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.ship import ship
from tuneful.runtime.load import load

pytest.importorskip("uvicorn", reason="serving is not installed")
pytestmark = pytest.mark.slow  # seven artifacts are made and examined: 40 s

KINDS = ("text", "tags", "open", "labels", "waves", "tones", "pairs")


class Bag(nn.Module):
    """Means of embeddings; of each place itself where every place has an answer."""

    def __init__(self, outputs: int, places: bool) -> None:
        super().__init__()
        self.embedding, self.read, self.places = nn.Embedding(20_000, 8), nn.Linear(8, outputs), places

    def forward(self, x: Tensor) -> Tensor:
        found = self.embedding(x)
        return self.read(found if self.places else found.mean(dim=1))


def shipped(source: Any, folder: Path, evidence: dict[str, Any] | None = None, **reading: Any) -> Path:
    """An artifact of a network that has learned nothing."""
    task = prepare(source, **reading)
    torch.manual_seed(0)
    front, back = ends(task)
    if task.schema["kind"] == "tokens":
        body: nn.Module = Bag(task.outputs, task.kind in ("tagging", "entities"))
    else:
        with torch.no_grad():
            wide = front(torch.zeros(2, *task.shape)).flatten(1).shape[1]
        body = nn.Sequential(nn.Flatten(), nn.Linear(wide, task.outputs))
    network = Network(front, body, back).eval()
    ship(task, Candidate(network, Recipe(), steps=0), {"headline": "untrained", **(evidence or {})}, folder)
    return folder


def tone(path: Path, hertz: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((8000 * np.sin(2 * np.pi * hertz * np.arange(2000) / 8000)).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("kinds")
    dice = np.random.default_rng(0)
    words = ["good", "bad", "fine", "film", "plot", "slow"]
    texts = [" ".join(dice.choice(words, 5)) + f" {at}" for at in range(90)]
    (root / "d.conll").write_text("".join(f"see\tO\nAnna{at}\tB-per\n\n" for at in range(60)))
    x = dice.normal(size=(120, 3)).astype("f4")
    for at in range(40):
        tone(root / "sounds" / ("low", "high")[at % 2] / f"{at}.wav", 300 + 900 * (at % 2) + at)
    rows = [f"{a:.3f},{b:.3f},{int(a > 0)},{int(b > 0)}" for a, b, _ in x]
    (root / "labels.csv").write_text("\n".join(["a,b,up,right", *rows]) + "\n")
    lines = [f"{a} {b}\t{b} {a}" for a in range(12) for b in range(12)]
    (root / "turned.tsv").write_text("\n".join(lines) + "\n")
    openset = {"openset": {"score": "max_logit", "threshold": 0.1, "coverage": 0.95}}
    made = {
        "text": shipped((texts, ["yes", "no", "so"] * 30), root / "text", tokens="word"),
        "tags": shipped(root / "d.conll", root / "tags"),
        "open": shipped((x, np.array(["a", "b", "c", "OOS"] * 30)), root / "open", openset),
        "labels": shipped(root / "labels.csv", root / "labels", target="up,right", kind="multilabel"),
        "waves": shipped((dice.normal(size=(60, 2, 16)).astype("f4"), np.arange(60) % 3), root / "waves"),
        "tones": shipped(root / "sounds", root / "tones"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEFUL_HOME", str(root / "runs"))
        result = tuneful.train(
            str(root / "turned.tsv"), width=16, epochs=1, batch_size=32, threads=1, precision="fp32", name="pairs"
        )
    assert result.artifact is not None
    return made | {"pairs": result.artifact.folder}


@pytest.fixture(scope="module")
def all_kinds(starting: Callable[..., Any], folders: dict[str, Path]) -> Any:
    return starting(*(f"{name}={path}" for name, path in folders.items()))


def test_what_is_said_is_what_the_model_says(all_kinds: Any, folders: dict[str, Path]):
    _, _, listed = all_kinds.ask("GET", "/models")
    examples = {one["name"]: one["example"] for one in listed["models"]}
    assert set(examples) == set(KINDS)
    for name in KINDS:
        status, _, told = all_kinds.ask("POST", f"/predict/{name}", examples[name])
        assert status == 200, (name, told)
        model, rows = load(folders[name]), examples[name]["rows"]
        given: Any = rows
        if name == "tones":
            given = (np.asarray(rows, np.float32), int(model.schema["rate"]))
        elif name in ("open", "waves"):
            given = np.asarray(rows, np.float32)
        wanted = model.predict(given)
        (found,) = told["predictions"]
        if name == "labels":
            assert found["prediction"] == [label for label, there in zip(model.labels, wanted[0], strict=True) if there]
        elif name == "tags":
            assert found["prediction"] == list(wanted[0])
        else:
            assert found["prediction"] == str(wanted[0]), name
        if name in ("text", "waves", "tones"):
            p = model.probabilities(given)[0]
            np.testing.assert_allclose([found["probabilities"][label] for label in model.labels], p, atol=1e-5)
        if name == "open":
            assert found["margin"] == pytest.approx(model.margins(given)[0], rel=1e-4)


def test_tensors_go_through_the_protocol(all_kinds: Any, folders: dict[str, Path]):
    x = np.random.default_rng(1).normal(size=(2, 2, 16)).astype("f4")
    name = all_kinds.ask("GET", "/v2/models/waves")[2]["inputs"][0]["name"]
    body = {"inputs": [{"name": name, "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}]}
    status, _, told = all_kinds.ask("POST", "/v2/models/waves/infer", body)
    assert status == 200
    outputs = {one["name"]: one for one in told["outputs"]}
    np.testing.assert_allclose(
        np.reshape(outputs["probabilities"]["data"], (2, 3)), load(folders["waves"]).probabilities(x), atol=1e-5
    )
    for name, text in (("text", "a good film"), ("pairs", "3 4")):
        given = all_kinds.ask("GET", f"/v2/models/{name}")[2]["inputs"][0]
        body = {"inputs": [{"name": given["name"], "shape": [1], "datatype": "BYTES", "data": [text]}]}
        status, _, told = all_kinds.ask("POST", f"/v2/models/{name}/infer", body)
        assert status == 200, told


@pytest.mark.parametrize(
    ("name", "rows", "status", "wanted"),
    [
        ("text", [7], 400, "must be text"),
        ("text", [["a", "b"]], 400, "must be text"),
        ("text", ["word " * 400_000], 413, "letters"),
        ("tags", [{"text": None}, 3], 400, "must be text"),
        ("waves", [[[0.0] * 15] * 2], 400, "shape"),
        ("waves", [[["a"] * 16] * 2], 400, ""),
        ("tones", [0.5], 400, "no list"),
        ("tones", [[0.0] * 10, [0.0] * 11], 400, "differ in length"),
        ("labels", [{"a": 1.0}], 400, 'no column "b"'),
        ("labels", [{"a": "inf", "b": 0.0}], 400, "is no finite number"),
        ("pairs", [{"no": 1}], 400, 'example 1 has no "text"'),
        ("open", [[1.0, 2.0]], 400, "shape"),
        ("open", [], 400, "shape [0]"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_a_sentence(all_kinds: Any, name: str, rows: Any, status: int, wanted: str):
    met, _, told = all_kinds.ask("POST", f"/predict/{name}", {"rows": rows})
    assert met == status, told
    assert wanted in told["error"], told
    assert "Traceback" not in str(told)
    assert all_kinds.ask("GET", "/v2/health/ready")[0] == 200
