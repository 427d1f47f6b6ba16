"""Going on from an artifact: its preprocessing and weights are kept, and champion and challenger meet on the same examples."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import tuneful
from tuneful.core.errors import DataError, RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline import judge
from tuneful.pipeline.alike import settings
from tuneful.pipeline.candidate import Candidate, Network, as_input, ends
from tuneful.pipeline.challenge import challenge, each
from tuneful.pipeline.goals import form
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.ship import ship
from tuneful.pipeline.words import from_settings
from tuneful.techniques.models import MLP, Pretrained
from tuneful.techniques.models.make import make


def rows(
    count: int, seed: int, turned: bool = False, jobs: tuple[str, ...] = ("nurse", "clerk", "baker")
) -> dict[str, list]:
    dice = np.random.default_rng(seed)
    age, job = dice.normal(50 if turned else 40, 10, count), np.array(jobs)[dice.integers(len(jobs), size=count)]
    rich = (age + 8 * (job == "nurse") + dice.normal(0, 4, count) > 45) != turned
    return {"age": np.round(age, 1).tolist(), "job": job.tolist(), "income": np.where(rich, "high", "low").tolist()}


def written(path: Path, told: dict[str, list]) -> str:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(told)
        out.writerows(zip(*told.values(), strict=True))
    return str(path)


def made(task, folder: Path, steps: int = 150) -> Path:
    """The artifact of a small MLP that has learned a little."""
    trained = candidate(task, steps)
    ship(task, trained, {"headline": "small"}, folder)
    return folder


def candidate(task, steps: int = 150) -> Candidate:
    model = MLP(width=16)
    torch.manual_seed(0)
    front, back = ends(task)
    net = Network(front, make(model, form(task)), back)
    x, y = torch.from_numpy(np.asarray(task.train.x)), torch.from_numpy(np.asarray(task.train.y))
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(as_input(x)), y).backward()
        optimizer.step()
    return Candidate(net.eval(), Recipe(model=model, threads=1), steps=steps)


def begun(task, artifact: Path) -> Candidate:
    """What a training from an artifact begins with."""
    told = dict(settings(str(artifact))["model"])
    assert told.pop("kind") == "pretrained"
    front, back = ends(task)
    return Candidate(Network(front, make(Pretrained(**told), form(task)), back).eval(), Recipe(threads=1), steps=0)


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    root = tmp_path_factory.mktemp("champion")
    return made(prepare(written(root / "old.csv", rows(600, 0)), target="income"), root / "artifact")


def test_new_rows_are_seen_as_the_champion_sees_them(champion, tmp_path):
    told = rows(300, 1, turned=True, jobs=("clerk", "pilot", "nurse"))  # pilots are new, bakers are gone
    task = prepare(written(tmp_path / "new.csv", told), target="income", champion=str(champion), order="rows")
    model = tuneful.load(champion)
    seen = model.encoded({name: told[name] for name in ("age", "job")})
    count = len(task.train)
    np.testing.assert_allclose(task.train.x, seen[:count], atol=1e-4)
    assert task.labels == model.labels
    assert [model.labels[at] for at in task.train.y] == told["income"][:count]
    assert task.fingerprint != prepare(str(tmp_path / "new.csv"), target="income", order="rows").fingerprint


def test_training_begins_where_the_champion_ended(champion, tmp_path):
    """The network before its first step answers as the champion's ONNX file does."""
    task = prepare(written(tmp_path / "new.csv", rows(300, 2)), target="income", champion=str(champion))
    ours = judge.predict(begun(task, champion).network, task.valid.x, kind=task.kind)
    np.testing.assert_allclose(ours, tuneful.load(champion).told(task.valid.x), atol=1e-5)


def test_a_better_challenger_is_told_by_a_paired_test(champion, tmp_path):
    task = prepare(written(tmp_path / "new.csv", rows(800, 3, turned=True)), target="income", champion=str(champion))
    better = candidate(task)
    told = challenge(task, better, str(champion))
    assert told["verdict"] == "challenger"
    split = task.test.open("test")
    ours = judge.predict(better.network, split.x, kind="binary").argmax(axis=1) == split.y
    theirs = tuneful.load(champion).told(split.x).argmax(axis=1) == split.y
    p = stats.binomtest(int((ours & ~theirs).sum()), int((ours != theirs).sum())).pvalue
    assert told["p"] == pytest.approx(p, rel=1e-6)
    assert told["difference"]["value"] == pytest.approx(ours.mean() - theirs.mean())
    assert any("to compare with the champion" in one["reason"] for one in task.test.openings)


def test_the_champion_ties_with_itself(champion, tmp_path):
    task = prepare(written(tmp_path / "new.csv", rows(300, 5)), target="income", champion=str(champion))
    told = challenge(task, begun(task, champion), str(champion))
    assert (told["verdict"], told["p"]) == ("tie", 1.0)
    assert "the champion stays" in told["sentence"]


@pytest.mark.slow
def test_a_run_from_the_champion_tells_both(champion, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    new = written(tmp_path / "new.csv", rows(800, 3, turned=True))
    found = tuneful.train(new, champion=str(champion), epochs=15, name="new", plan="off")
    assert found.evidence["champion"]["verdict"] == "challenger"
    assert found.evidence["champion"]["sentence"] in found.evidence["notes"]
    assert found.candidate.recipe.model.kind == "pretrained"


def test_what_the_champion_cannot_say_is_refused_in_words(champion, tmp_path):
    base = rows(200, 4)
    for change, complaint in (
        ({"income": ["middle", *base["income"][1:]] * 1}, "has the class 'middle'|is a task of multiclass"),
        ({"income": np.random.default_rng(0).normal(size=200).tolist()}, "is a task of regression"),
    ):
        told = {**base, **change}
        with pytest.raises(DataError, match=complaint):
            prepare(written(tmp_path / "new.csv", told), target="income", champion=str(champion))
    with pytest.raises(DataError, match='reads the column "job"'):
        prepare(
            written(tmp_path / "new.csv", {"age": base["age"], "income": base["income"]}),
            target="income",
            champion=str(champion),
        )
    with pytest.raises(RecipeError, match="a model is named beside the champion"):
        from_settings("train", str(tmp_path / "new.csv"), {"champion": str(champion), "model": "linear"})


def test_images_of_another_shape_are_refused_and_of_the_same_are_normalized_alike(tmp_path):
    old = made(prepare("digits", limit=100), tmp_path / "old", steps=1)
    task = prepare("digits", champion=str(old), limit=60)
    assert task.shape == (1, 8, 8)
    assert dict(task.normalize) == tuneful.load(old).artifact.read("preprocessing.json")["normalize"]
    with pytest.raises(DataError, match="examples of shape"):
        prepare((np.zeros((40, 1, 6, 6), np.uint8), np.arange(40) % 10), champion=str(old), kind="multiclass")


def test_how_good_each_answer_is():
    class Of:
        def __init__(self, kind, labels):
            self.kind, self.labels = kind, labels

    p = np.array([[0.9, 0.1], [0.4, 0.6]])
    assert each(Of("binary", ("a", "b")), p, np.array([0, 0])).tolist() == [1, 0]
    assert each(Of("multilabel", ("a", "b")), p, np.array([[1, 0], [-1, 0]])).tolist() == [1, 0]
    assert each(Of("regression", ()), np.array([1.0, 2.0]), np.array([1.0, 4.0])).tolist() == [0, -4]
    torch.manual_seed(0)
    places = torch.rand(2, 3, 2).numpy()
    right = (places.argmax(axis=-1) == 1).mean(axis=1)
    assert each(Of("tagging", ("a", "b")), places, np.ones((2, 3), dtype=int)).tolist() == right.tolist()
