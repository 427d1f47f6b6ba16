"""From a finished run to a smaller model that is an artifact like any other, by the command and from Python."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score

import tuneful
from tuneful.core.artifact import unseal
from tuneful.core.task import openings_in


@pytest.fixture(scope="module")
def run(tmp_path_factory, tuneful) -> Path:
    """A small MLP on digits; copy it before it is changed."""
    home = tmp_path_factory.mktemp("improve")
    words = ["model=mlp", "width=64", "epochs=6", "threads=1", "valid=0.4", "plan=off"]
    said = tuneful("train", "digits", *words, "--home", home, "--name", "mlp")
    assert said.code == 0, said.err
    return home / "mlp"


@pytest.fixture
def copied(run, tmp_path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "mlp"))


def test_int8_by_the_command_then_everything_that_an_artifact_does(copied, tuneful):
    before = unseal(copied / "artifact")
    said = tuneful("improve", copied, "static_int8", "--keep", "accuracy-2%")
    assert said.code == 0, said.err
    assert "kept static_int8: " in said.err
    artifact = unseal(copied / "improve" / "static_int8")
    told = artifact.read("evidence.json")["improved"]
    assert len(artifact.raw("model.onnx")) < 0.5 * len(before.raw("model.onnx"))
    assert [one["kind"] for one in told["steps"]] == ["static_int8"]
    assert told["losses"][0]["kept"]
    assert told["on_test"][0]["difference"]["n"] == artifact.read("evidence.json")["task"]["n_test"]
    assert "- `static_int8` (calibrate minmax, weights channel" in artifact.read("card.md")
    assert unseal(copied / "artifact").manifest == before.manifest, "the run's own artifact stays"

    predicted = tuneful("predict", artifact.folder, "digits")
    names = [line.split(",")[1] for line in predicted.out.splitlines()[1:]]
    assert accuracy_score(load_digits().target.astype(str), names) > 0.9
    measured = tuneful("evaluate", artifact.folder, "digits", "--json")
    assert json.loads(measured.out)["measures"]["accuracy"]["value"] == pytest.approx(
        accuracy_score(load_digits().target.astype(str), names)
    )


def test_the_test_split_is_opened_once_for_each_point_that_is_taken(copied, tuneful):
    openings = copied / "openings.jsonl"
    begun = len(openings_in(openings))
    assert tuneful("improve", copied, "static_int8", "half", "--keep", "accuracy-2%").code == 0
    assert len(openings_in(openings)) == begun + 1
    assert tuneful("improve", copied, "--take", "static_int8").code == 0
    assert len(openings_in(openings)) == begun + 2
    assert openings_in(openings)[-1]["reason"] == "to prove the point static_int8 of mlp"


def test_from_python_with_settings_objects(copied):
    from tuneful.techniques.compressors import Half

    found = tuneful.improve(copied, Half(), keep="accuracy-2%")
    assert found.name == "half"
    assert "Improved by half" in found.headline
    assert found.artifact is not None
    ours = tuneful.load(found.artifact.folder).probabilities(load_digits().images[:50])
    theirs = tuneful.load(copied / "artifact").probabilities(load_digits().images[:50])
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_mistakes_are_answered_before_anything_is_done(copied, refused, tmp_path):
    assert "there is no step static_int; did you mean static_int8?" in refused("improve", copied, "static_int")
    assert "has no points yet" in refused("improve", copied, "--take", "static_int8")
    assert "a point is taken as it was found" in refused("improve", copied, "half", "--take", "half")
    assert "there is no run" in refused("improve", tmp_path / "other", "half")
    shutil.copytree(copied / "artifact", tmp_path / "alone" / "artifact")
    said = refused("improve", tmp_path / "alone" / "artifact", "half")
    assert "is an artifact outside of its run" in said
    said = refused("improve", copied, "half", "--keep", "accuracy-0.01%")
    assert "validation examples leave a loss of" in said
    assert not (copied / "improve").exists()
