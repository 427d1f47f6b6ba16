"""The whole journey on data that the tests make: data in, a model out that predicts without torch what it predicts with it."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

import tuneful
from tuneful.core.study import Study
from tuneful.core.task import openings_in
from tuneful.pipeline import judge
from tuneful.runtime.preprocess import apply

QUICK = {"epochs": 6, "threads": 1, "budget": "3 trials"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    return tmp_path / "runs"


def predicts_as_torch(result: tuneful.Result, raw) -> np.ndarray:
    """What the shipped model says of raw input, after it was held against the trained network."""
    model = tuneful.load(result.artifact.folder)
    x = apply(result.task.schema, raw)
    wanted = judge.predict(result.candidate.network, x)
    found = model.predict(raw) if model.kind == "regression" else model.probabilities(raw)
    scale = max(1.0, float(np.abs(wanted).max())) if model.kind == "regression" else 1.0
    np.testing.assert_allclose(found, wanted, atol=2e-5 * scale)
    seen = {row.tobytes() for row in x.reshape(len(x), -1).astype("f4")}
    for split in (result.task.train, result.task.valid):  # the model was trained on what the runtime makes of the input
        assert {row.tobytes() for row in split.x.reshape(len(split), -1).astype("f4")} <= seen
    return model.predict(raw)


def is_whole(result: tuneful.Result, metric: str) -> None:
    """Everything that a finished run owes is there."""
    assert result.headline == json.loads((result.folder / "evidence.json").read_text())["headline"]
    assert {"job.json", "study.db", "recipe.toml", "task.json", "openings.jsonl", "report.html", "artifact"} <= {
        path.name for path in result.folder.iterdir()
    }
    assert len((result.folder / "openings.jsonl").read_text().splitlines()) == 1
    measure = result.evidence["test"][metric]
    assert measure["low"] <= measure["value"] <= measure["high"]
    assert len(Study.open(result.folder).trials()) == 3
    assert result.trial.state == "done"


def houses(path: Path, n: int = 240) -> list[dict]:
    """A table with numbers, a category and holes; the price is a sum of what they say."""
    dice = np.random.default_rng(0)
    rows = []
    for _ in range(n):
        size, town, age = dice.uniform(40, 200), dice.choice(["Ulm", "Jena", "Trier"]), dice.integers(0, 90)
        price = 3000 * size + {"Ulm": 90000, "Jena": 20000, "Trier": 0}[town] - 500 * age + dice.normal(0, 5000)
        rows.append({"size": round(size, 1), "town": town, "age": "" if dice.random() < 0.1 else int(age),
                     "price": round(price, 2), "dear": "yes" if price > 400_000 else "no"})  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def columns(rows: list[dict], *without: str) -> dict[str, list]:
    return {name: [row[name] for row in rows] for name in rows[0] if name not in without}


def test_a_table_with_a_number_for_its_target(tmp_path):
    rows = houses(tmp_path / "houses.csv")
    result = tuneful.optimize(tmp_path / "houses.csv", target="price", leave_out="dear", **(QUICK | {"epochs": 20}))
    is_whole(result, "rmse")
    found = predicts_as_torch(result, columns(rows, "price"))
    prices = np.array([row["price"] for row in rows])
    assert np.abs(found - prices).mean() < 0.5 * np.abs(prices - prices.mean()).mean()


def test_a_table_with_two_classes(tmp_path):
    rows = houses(tmp_path / "houses.csv")
    result = tuneful.optimize(tmp_path / "houses.csv", target="dear", leave_out="price", **QUICK)
    is_whole(result, "auroc")
    found = predicts_as_torch(result, columns(rows, "dear"))
    assert (found == [row["dear"] for row in rows]).mean() > 0.75


def pictures(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey 10x10 pictures of three kinds: a bright row, a bright column, a bright cross."""
    dice = np.random.default_rng(1)
    x, y = dice.integers(0, 90, (n, 10, 10)).astype("u1"), np.arange(n) % 3
    for image, kind in zip(x, y, strict=True):
        at = dice.integers(2, 8)
        if kind != 1:
            image[at] += 130
        if kind != 0:
            image[:, at] |= 128
    return x, y


def test_a_folder_of_images(tmp_path):
    x, y = pictures(150)
    names = []
    for number, (image, kind) in enumerate(zip(x, y, strict=True)):
        path = tmp_path / "signs" / ("row", "column", "cross")[kind] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        names.append(path)
    result = tuneful.optimize(tmp_path / "signs", **(QUICK | {"epochs": 25}))
    is_whole(result, "accuracy")
    found = predicts_as_torch(result, names)
    assert (found == [name.parent.name for name in names]).mean() > 0.6
    same = tuneful.load(result.artifact.folder).probabilities(x[:, None])
    np.testing.assert_allclose(same, tuneful.load(result.artifact.folder).probabilities(names), atol=1e-6)


def test_an_archive_of_arrays(tmp_path):
    x, y = pictures(120)
    np.savez(tmp_path / "signs.npz", x=x, y=y)
    result = tuneful.optimize(tmp_path / "signs.npz", **QUICK)
    is_whole(result, "accuracy")
    assert set(predicts_as_torch(result, x)) <= {"0", "1", "2"}


class Small(nn.Module):
    """A network of the user's own."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs[0], 12), nn.Tanh(), nn.Linear(12, outputs))

    def forward(self, x):
        return self.layers(x)


def moons(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(2)
    y = np.arange(n) % 2
    angle = dice.uniform(0, np.pi, n) + np.pi * y
    x = np.stack([np.cos(angle) + y, np.sin(angle) + 0.5 * y], 1) + dice.normal(0, 0.1, (n, 2))
    return x.astype("f4"), y


def test_arrays_from_python_and_a_network_of_ones_own():
    x, y = moons()
    result = tuneful.optimize((x, y), name="moons", model=Small, **(QUICK | {"epochs": 20}))
    is_whole(result, "auroc")
    assert result.candidate.recipe.model.factory.endswith(":Small")
    assert (predicts_as_torch(result, x).astype(int) == y).mean() > 0.7


def test_the_same_again_does_nothing_and_a_larger_budget_goes_on(tmp_path):
    x, y = moons()
    words = {"name": "moons", "epochs": 4, "threads": 1}
    first = tuneful.optimize((x, y), budget="2 trials", **words)
    files = {
        path: path.stat().st_mtime_ns
        for path in first.folder.rglob("*")
        if path.suffix in (".safetensors", ".onnx", ".html")
    }
    again = tuneful.optimize((x, y), budget="2 trials", **words)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert again.headline == first.headline
    assert again.artifact.folder == first.artifact.folder
    assert (again.trial.number, again.candidate.steps) == (first.trial.number, first.candidate.steps)
    before = [trial.dials for trial in Study.open(first.folder).trials()]
    more = tuneful.optimize((x, y), budget="5 trials", **words)
    trials = Study.open(first.folder).trials()
    assert len(trials) == 5
    assert [trial.dials for trial in trials[:2]] == before
    assert more.evidence["search"]["trials"] == 5
    opened = openings_in(first.folder / "openings.jsonl")
    assert len(opened) == 1 + (more.evidence["of"] != first.evidence["of"])  # a second one only for another network
    assert tuneful.optimize((x, y), budget="3 trials", **words).evidence["search"]["trials"] == 5  # no less than was done


@pytest.mark.slow
@pytest.mark.parametrize(("what", "seconds"), [("table", 20), ("images", 25), ("digits", 20)])
def test_a_budget_of_seconds_holds(tmp_path, record_property, what, seconds):
    began = time.monotonic()
    if what == "table":
        houses(tmp_path / "houses.csv", 1500)
        result = tuneful.optimize(tmp_path / "houses.csv", target="dear", leave_out="price", budget=f"{seconds}s")
    elif what == "images":
        x, y = pictures(1500)
        result = tuneful.optimize((x, y), name="signs", budget=f"{seconds}s")
    else:
        result = tuneful.optimize("digits", budget=f"{seconds}s")
    took = time.monotonic() - began
    record_property("seconds", round(took, 2))
    print(f"{what}: budget {seconds} s, took {took:.1f} s, {result.evidence['search']}")
    assert result.artifact is not None
    assert took < 2 * seconds  # a sanity bound; benchmarks/ measures the 5 %
