"""The worked examples of the literature, at a small size: each does what its docstring says, and is right where that can be checked."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    return tmp_path


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_seven_optimizers_find_the_line_of_the_closed_form(capsys):
    lines = example("linear_regression")
    found = lines.main()
    assert list(found) == ["GD", "SGD", "momentum", "Adagrad", "RMSprop", "Adam", "AdaBound"]
    assert {name: distance for name, distance in found.items() if distance > 0.05} == {}
    assert found["GD"] < 1e-6, "all points at a time have no noise"
    assert "3.16 times as far" in capsys.readouterr().out


def test_the_closed_form_is_that_of_scikit_learn():
    lines = example("linear_regression")
    x, y = lines.points()
    theirs = LinearRegression().fit(x[:, None].numpy(), y.numpy())
    mine = lines.closed_form(lines.design(x), y)
    assert mine.tolist() == pytest.approx([theirs.intercept_, theirs.coef_[0]])
    forced = LinearRegression(fit_intercept=False).fit(x[:, None].numpy(), y.numpy())
    assert lines.closed_form(x[:, None], y).tolist() == pytest.approx(forced.coef_.tolist())
    assert forced.coef_[0] > 1.5 * theirs.coef_[0], "what is forgotten matters here"


def test_adam_by_hand_is_torchs_adam_with_the_correction_alone():
    lines = example("linear_regression")
    x, y = lines.points()
    X = lines.design(x)
    w = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer, path = torch.optim.Adam([w], lr=0.1), [w.detach().clone()]
    for _ in range(20):
        optimizer.zero_grad()
        (X @ w - y).square().mean().backward()
        optimizer.step()
        path.append(w.detach().clone())
    torch.testing.assert_close(lines.adam_by_hand(X, y, 20), torch.stack(path), rtol=1e-9, atol=1e-10)
    wrong = lines.adam_by_hand(X, y, 1, corrected=False)[1]
    assert float(wrong[1] / path[1][1]) == pytest.approx(0.1 / math.sqrt(0.001), rel=1e-6)


def test_the_small_mlp_learns_by_both_ways(capsys):
    values = example("mlp_mnist").main("digits", "6")
    said = capsys.readouterr().out
    assert "the network is 64-10-10" in said
    assert "6 steps in " in said  # gradient descent: one an epoch
    assert min(values.values()) > 0.2, "ten classes: guessing gives a tenth"


def test_the_cnn_of_two_convolutions_halves_its_rate(home, capsys):
    result = example("cnn_mnist").main("digits", "4", limit=300, width=8)
    said = capsys.readouterr().out
    assert "rates: 0.001, 0.0005, 0.00025, 0.000125" in said
    recipe = json.loads((home / "cnn-mnist" / "artifact" / "recipe.json").read_text("utf-8"))
    assert (recipe["model"]["kind"], recipe["schedule"]["kind"]) == ("lenet", "step")
    convolutions = [m for m in result.candidate.network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 2
    assert result.headline in said


def test_the_convnet_learns_pictures_of_the_size_of_cifar10(home, capsys):
    module = example("convnet_cifar10")
    x, y = module.made(240)
    assert (x.shape, x.dtype, set(y.tolist())) == ((240, 3, 32, 32), np.uint8, {0, 1, 2, 3})
    result = module.main((x, y), "4", width=4, depth=1, batch_size=16)
    kinds = [one["kind"] for one in result.candidate.recipe.as_data()["augments"]]
    assert kinds == ["flip", "crop", "cutout"]
    losses = [point.train_loss for point in result.trial.curve]
    assert losses[-1] < losses[0]
    assert (home / "convnet-cifar10" / "artifact" / "model.onnx").exists()


def test_images_in_folders_are_moved_and_mirrored(home, capsys):
    results = example("folder_images").main(epochs="3", each=12, width=8)
    assert (home / "folder-augmented" / "report.html").exists()
    kinds = [one["kind"] for one in results["augmented"].candidate.recipe.as_data()["augments"]]
    assert sorted(kinds) == ["flip", "rotate", "shear", "shift", "zoom"]
    assert results["plain"].candidate.recipe.augments == ()
    assert results["plain"].task.fingerprint == results["augmented"].task.fingerprint
    assert "augmented: 0." in capsys.readouterr().out
