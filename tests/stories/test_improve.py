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
from tuneful.techniques.compressors import Half


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


def test_from_python_points_first_then_one_is_taken_and_the_test_split_is_opened_once(copied):
    openings = copied / "openings.jsonl"
    begun = len(openings_in(openings))
    found = tuneful.improve(copied, "static_int8", Half(), keep="accuracy-2%", prove=False)
    assert [one["name"] for one in found.points] == ["original", "static_int8", "static_int8+half"]
    assert found.artifact is None
    assert len(openings_in(openings)) == begun
    taken = tuneful.improve(copied, take="static_int8")
    assert "Improved by static_int8" in taken.headline
    assert taken.artifact is not None
    ours = tuneful.load(taken.artifact.folder).probabilities(load_digits().images[:50])
    theirs = tuneful.load(copied / "artifact").probabilities(load_digits().images[:50])
    np.testing.assert_allclose(ours, theirs, atol=0.1)
    assert len(openings_in(openings)) == begun + 1
    assert openings_in(openings)[-1]["reason"] == "to prove the point static_int8 of mlp"


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


@pytest.mark.parametrize(
    ("words", "smaller"),
    [
        (["prune=0.5", "static_int8"], 0.35),
        (["distil=0.25", "epochs=10"], 0.5),
        pytest.param(["low_rank=0.7"], 0.9, marks=pytest.mark.slow),
        pytest.param(["sparse=0.5", "epochs=2"], 1.01, marks=pytest.mark.slow),
        pytest.param(["quantize_aware=1"], 0.5, marks=pytest.mark.slow),
    ],
    ids=["prune-static_int8", "distil", "low_rank", "sparse", "quantize_aware"],
)
def test_steps_that_change_the_network_learn_on_and_are_smaller_as_exported(copied, words, smaller):
    found = tuneful.improve(copied, *words, keep="accuracy-20%", prove=False)
    assert found.refused == ()
    last = found.points[-1]
    assert last["bytes"] < smaller * found.points[0]["bytes"]
    assert last["kept"]


def test_steps_that_cannot_be_taken_are_refused_in_a_sentence_and_the_others_go_on(copied):
    found = tuneful.improve(copied, "average", "half", "prune=0.3", keep="accuracy-5%", prove=False)
    assert [one["name"] for one in found.points] == ["original", "half"]
    assert "average needs other trials with the same network" in found.refused[0]
    assert "prune changes the network, but half before it has changed the exported graph already" in found.refused[1]


@pytest.mark.slow
def test_the_same_steps_give_the_same_graph_twice(copied, tmp_path):
    other = Path(shutil.copytree(copied, tmp_path / "again"))
    files = []
    for place in (copied, other):
        tuneful.improve(place, "prune=0.4 epochs=2", "static_int8", keep="accuracy-20%", prove=False)
        (name,) = [one.name for one in (place / "improve" / "points").iterdir() if "static_int8.onnx" in one.name]
        files.append((place / "improve" / "points" / name).read_bytes())
    assert files[0] == files[1]


@pytest.mark.slow
def test_a_search_draws_a_front_and_takes_what_the_goal_wants(copied, tuneful, refused):
    """One search on the exported graph and the network, then points of it by name; the test split is opened for what is taken."""
    openings = copied / "openings.jsonl"
    begun = len(openings_in(openings))
    said = tuneful("improve", copied, "--budget", "30s", "--keep", "accuracy-8%", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    names = [one["name"] for one in found["points"]]
    assert {"original", "static_int8", "weight_only-4"} <= set(names)
    assert any(name.startswith("prune") for name in names)
    assert set(found["front"]) <= set(names)
    assert found["artifact"] is None
    assert len(openings_in(openings)) == begun, "nothing was chosen yet"
    page = (copied / "improve" / "report.html").read_text("utf-8")
    assert all(name in page for name in names)
    smallest = min((one for one in found["points"] if one["kept"]), key=lambda one: one["bytes"])
    taken = tuneful("improve", copied, "--take", smallest["name"])
    assert taken.code == 0, taken.err
    assert unseal(copied / "improve" / smallest["name"]).read("evidence.json")["improved"]["name"] == smallest["name"]
    assert len(openings_in(openings)) == begun + 1
    assert "did you mean static_int8?" in refused("improve", copied, "--take", "static_int")
    lost = [one["name"] for one in found["points"] if not one["kept"]]
    if lost:
        assert "it was refused, and its graph is not kept" in refused("improve", copied, "--take", lost[0])


def test_a_goal_that_nothing_reaches_ends_with_code_three(copied, tuneful):
    said = tuneful("improve", copied, "half", "--goal", "size<1kB", "--keep", "accuracy-2%")
    assert said.code == 3
    assert "no point that was kept reaches --goal size<1kB: half comes nearest" in said.err
    assert "--take half" in said.err
