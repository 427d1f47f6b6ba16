"""The examples do what they say, on budgets that are small."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.datasets import load_digits

import tuneful

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Where the examples put their runs."""
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    return tmp_path


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tiny_ends_in_an_artifact_that_knows_digits(home, capsys):
    example("tiny").main("40s, 2 trials")
    said = capsys.readouterr().out
    assert "on 339 test examples" in said  # a fifth of the 1697 that are left without the hundred
    share = float(re.search(r"later: +right on ([\d.]+)", said)[1])
    assert share > 0.8
    # What was printed is what lies there, and it serves without the rest.
    assert str(home / "tiny" / "report.html") in said
    assert json.loads((home / "tiny" / "evidence.json").read_text("utf-8"))["headline"] in said
    x, y = load_digits(return_X_y=True)
    model = tuneful.load(home / "tiny" / "artifact")
    assert np.mean(model.predict(x.reshape(-1, 1, 8, 8).astype(np.float32)).astype(int) == y) > 0.8


def test_the_own_network_is_searched_over_its_arguments(home, capsys):
    module = example("own_network")
    module.main("40s, 2 trials")
    said = capsys.readouterr().out
    width = int(re.search(r"'width': (\d+)", said)[1])
    assert 16 <= width <= 64
    recipes = [(home / "own-network" / "trials" / f"000{n}" / "recipe.toml").read_text("utf-8") for n in (0, 1)]
    assert recipes[0] != recipes[1]
    weights = tuneful.load(home / "own-network" / "artifact").artifact.read("recipe.json")["model"]
    assert weights["arguments"]["width"] == width


def test_the_command_line_in_the_own_network_is_right(home, monkeypatch, capsys):
    from tuneful.cli import main

    monkeypatch.chdir(EXAMPLES.parent)
    told = example("own_network").__doc__
    line = told[told.index("tuneful tune") :].partition("--budget")[0].removeprefix("tuneful tune")
    words = shlex.split(line.replace("\\\n", " "))
    assert main(["check", *words, "limit=200"]) == 0
    assert "own factory=examples/own_network.py:Net" in capsys.readouterr().out


def test_adabound_in_plain_pytorch_learns():
    loop = example("own_loop")
    assert loop.plain_pytorch(epochs=3) < 1.0  # guessing among ten classes costs ln 10 = 2.3


def test_a_run_goes_on_after_a_break_where_it_was(capsys):
    candidate = example("own_loop").run_as_iterator(epochs=3.0, enough=0.0)  # breaks at the first point
    epochs = [int(text) for text in re.findall(r"^epoch (\d+):", capsys.readouterr().out, re.MULTILINE)]
    assert epochs == [1, 2, 3]
    assert candidate.steps == 3 * (1079 // 32)
