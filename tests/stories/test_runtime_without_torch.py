"""A shipped model is used where there is no torch: first with every other package hidden, then in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import tuneful
from tuneful.core.recipe import Recipe
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline.candidate import Candidate, Network, ends
from tuneful.pipeline.ship import ship

_CHILD = """
import importlib.abc, json, sys
HIDDEN = {"torch", "pydantic", "optuna", "sklearn", "scipy", "polars", "pyarrow", "PIL", "onnx", "onnxscript", "safetensors",
          "plotly", "typer", "rich", "yaml", "tomli_w"}

class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide())
import numpy as np
from tuneful import runtime
model = runtime.load(sys.argv[1])
x = np.load(sys.argv[2])
print(json.dumps({
    "labels": model.predict(x).tolist(),
    "probabilities": model.probabilities(x).tolist(),
    "seen": sorted(HIDDEN & {name.split(".")[0] for name in sys.modules}),
}))
"""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, np.ndarray]:
    """An artifact, a file with raw input, and torch's own probabilities for it."""
    x, y = load_digits(return_X_y=True)
    x, y = x.astype(np.float32), y.astype(np.int64)
    train, valid, test = (Split(x[i::3], y[i::3]) for i in range(3))
    schema = {"kind": "vector", "shape": [64]}
    normalize = {"mean": train.x.mean(0).tolist(), "std": (train.x.std(0) + 1).tolist()}
    labels = tuple("零一二三四五六七八九")
    task = Task(
        "digits",
        "multiclass",
        (64,),
        labels,
        train,
        valid,
        Sealed(test),
        Objective("accuracy", "max"),
        "f",
        schema,
        normalize,
    )
    torch.manual_seed(0)
    front, back = ends(task)
    net = Network(front, nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), back).eval()
    folder = tmp_path_factory.mktemp("story")
    ship(task, Candidate(net, Recipe(), steps=0), {"headline": "untrained"}, folder / "artifact")
    np.save(folder / "x.npy", test.x[:50])
    with torch.no_grad():
        wanted = torch.softmax(net(torch.from_numpy(test.x[:50])), dim=-1).numpy()
    return folder / "artifact", folder / "x.npy", wanted


def check(stdout: str, wanted: np.ndarray) -> None:
    found = json.loads(stdout)
    assert found["seen"] == []
    np.testing.assert_allclose(found["probabilities"], wanted, atol=1e-5)
    assert found["labels"] == ["零一二三四五六七八九"[i] for i in wanted.argmax(axis=1)]


def test_predicts_with_every_package_hidden_but_numpy_and_onnxruntime(shipped: tuple[Path, Path, np.ndarray]):
    folder, x, wanted = shipped
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", _CHILD, folder, x], capture_output=True, text=True, timeout=120
    )
    assert run.stderr == ""
    check(run.stdout, wanted)


def test_a_missing_onnxruntime_is_told_in_a_sentence(shipped: tuple[Path, Path, np.ndarray]):
    child = _CHILD.replace('HIDDEN = {"torch"', 'HIDDEN = {"onnxruntime", "torch"')
    run = subprocess.run([sys.executable, "-c", child, *shipped[:2]], capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert (
        "loading an artifact needs the package onnxruntime, which is not installed\n  hint: pip install onnxruntime"
        in run.stderr
    )


@pytest.mark.slow
def test_predicts_in_an_environment_with_only_numpy_and_onnxruntime(shipped: tuple[Path, Path, np.ndarray], tmp_path: Path):
    folder, x, wanted = shipped
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "0", "--timeout", "20",
               "numpy", "onnxruntime"]  # fmt: skip
    if (got := subprocess.run(install, capture_output=True, text=True, timeout=300)).returncode:
        pytest.skip(
            f"no package index can be reached ({got.stderr.strip().splitlines()[-1][:120] if got.stderr else 'no reason given'})"
        )
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True, timeout=60
    )
    names = {entry["name"].lower() for entry in json.loads(listed.stdout)}
    assert {"numpy", "onnxruntime"} <= names
    assert not {"torch", "pydantic", "optuna", "scikit-learn"} & names
    source = Path(tuneful.__file__).parents[1]
    run = subprocess.run(
        [python, "-c", _CHILD, folder, x],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(source)},
    )
    assert run.stderr == ""
    check(run.stdout, wanted)
