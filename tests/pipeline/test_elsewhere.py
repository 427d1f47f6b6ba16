"""Files for other runtimes answer as torch does, where they run; LiteRT where $TUNEFUL_LITERT names a Python that has it."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from tuneful.core.errors import MissingError, ModelError, ParityError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline.candidate import Candidate, Network, ends
from tuneful.pipeline.elsewhere import compared, exported, litert, pt2
from tuneful.pipeline.export import served
from tuneful.pipeline.judge import predict
from tuneful.runtime.tensorsfile import pickled


@pytest.fixture(scope="module")
def digits() -> tuple[Task, Network]:
    """A convolutional network that has learned digits somewhat, so that 8-bit numbers have something to keep."""
    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 1, 8, 8).astype(np.uint8)
    parts = [Split(x[at::3], y[at::3]) for at in range(3)]
    schema = {"kind": "image", "shape": [1, 8, 8], "dtype": "uint8"}
    task = Task("digits", "multiclass", (1, 8, 8), tuple("0123456789"), parts[0], parts[1], Sealed(parts[2]), Objective("accuracy", "max"),
                "f00d", schema, normalize={"mean": [4.9], "std": [6.0]})  # fmt: skip
    torch.manual_seed(0)
    front, back = ends(task)
    body = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )
    network = Network(front, body, back)
    steps = torch.optim.Adam(network.parameters(), 0.01)
    given, wanted = torch.from_numpy(parts[0].x.astype(np.float32)), torch.from_numpy(parts[0].y)
    for _ in range(60):
        steps.zero_grad()
        nn.functional.cross_entropy(network(given), wanted).backward()
        steps.step()
    return task, network.eval()


def test_a_pt2_file_answers_as_the_network_for_any_number_of_rows(digits: tuple[Task, Network], tmp_path: Path):
    task, network = digits
    told = exported(task, Candidate(network, Recipe(), steps=60), "pt2", tmp_path)
    assert json.loads((tmp_path / "model.pt2.json").read_text()) == json.loads(json.dumps(told))
    assert told["rows"] == 512
    assert told["agreement"]["value"] == 1.0
    assert told["metric"]["difference"]["value"] == 0.0
    again = torch.export.load(tmp_path / "model.pt2").module()
    wanted = predict(network, task.valid.x, kind="multiclass")
    for rows in (1, 7, 300):
        found = again(torch.from_numpy(task.valid.x[:rows].astype(np.float32))).detach().numpy()
        np.testing.assert_allclose(found, wanted[:rows], atol=1e-5)


def test_a_pt2_file_holds_no_pickle_and_no_path(digits: tuple[Task, Network]):
    data = pt2(served(digits[1], "multiclass"), np.zeros((1, 1, 8, 8), np.float32))
    assert pickled(data) == ""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    for word in (b"site-packages", b".py", b"/home", b"/root", b"tuneful"):
        assert word not in everything, word


def test_what_answers_otherwise_is_refused(digits: tuple[Task, Network]):
    task, _ = digits
    p = np.full((100, 10), 0.05)
    p[np.arange(100), np.arange(100) % 10] = 0.55
    y = np.arange(100) % 10
    assert compared(task, p, p + 1e-5, y, False)["agreement"]["value"] == 1.0
    with pytest.raises(
        ParityError, match=r"differs from torch by 0\.001 of the answers' scale on 100 validation rows, and 100"
    ) as caught:
        compared(task, p, p + 1e-3, y, False)
    assert caught.value.exit_code == 3
    assert compared(task, p, p + 1e-3, y, True)["metric"]["difference"]["value"] == 0.0
    with pytest.raises(ParityError, match=r"and 90 of them agree; at least 95% must agree"):
        compared(task, p, np.vstack([p[:90], p[90:][::-1]]), y, True)


def test_without_litert_the_way_is_told(digits: tuple[Task, Network], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TUNEFUL_LITERT", raising=False)
    with pytest.raises(MissingError, match=r"a LiteRT file needs the package litert-torch") as caught:
        litert(b"", np.zeros((1, 1)), None)
    assert "$TUNEFUL_LITERT" in caught.value.hint
    with pytest.raises(ModelError, match="litert-torch cannot convert this network: ModuleNotFoundError"):
        litert(b"", np.zeros((1, 1)), None, sys.executable)
    with pytest.raises(ModelError, match="cannot convert to LiteRT"):
        litert(b"", np.zeros((1, 1)), None, "/does/not/exist")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["litert", "litert_int8"])
def test_litert_answers_as_torch_does(digits: tuple[Task, Network], tmp_path: Path, form: str):
    if not os.environ.get("TUNEFUL_LITERT"):
        pytest.skip("$TUNEFUL_LITERT names no Python with litert-torch")
    task, network = digits
    told = exported(task, Candidate(network, Recipe(), steps=60), form, tmp_path)  # type: ignore[arg-type]
    assert (tmp_path / told["file"]).read_bytes()[4:8] == b"TFL3"
    assert told["runtime"].startswith("ai-edge-litert ")
    assert told["agreement"]["value"] >= (0.95 if form == "litert_int8" else 1.0)
    assert told["largest_difference"] < (0.5 if form == "litert_int8" else 1e-4)
