"""Several labels or several numbers at once: from a table to a model that is proven, shipped, measured again and asked."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import tuneful
from tuneful.cli import main
from tuneful.pipeline import judge
from tuneful.runtime.preprocess import apply

QUICK = {"epochs": 20, "threads": 1, "budget": "2 trials"}
MOODS = ("happy", "calm", "sad")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)


def songs(path: Path, n: int = 240) -> list[dict]:
    """Songs with moods that their numbers tell, and two numbers that do not measure in one unit."""
    dice = np.random.default_rng(0)
    rows = []
    for _ in range(n):
        tempo, loud = dice.normal(110, 25), dice.normal(-12, 4)
        scores = (tempo - 115, -loud - 13, 100 - tempo + dice.normal(0, 5))
        rows.append(
            dict(zip(MOODS, (["no", "yes"][bool(s > 0)] for s in scores), strict=True))
            | {"tempo": round(tempo, 1), "loud": round(loud, 2), "key": dice.choice(list("CDE"))}
            | {
                "length": round(400 - 2 * tempo + dice.normal(0, 5), 1),
                "sales": round(1e5 + 3e3 * loud + dice.normal(0, 2e3)),
            }
        )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def asked(result: tuneful.Result, rows: list[dict], hidden: tuple[str, ...]) -> np.ndarray:
    """What the shipped model says, after it was held against the network."""
    raw = {name: [row[name] for row in rows] for name in rows[0] if name not in hidden}
    model = tuneful.load(result.artifact.folder)
    p = judge.predict(result.candidate.network, apply(result.task.schema, raw), kind=result.task.kind)
    found = model.predict(raw)
    theirs = model.probabilities(raw) if model.labels else found
    np.testing.assert_allclose(theirs, p, rtol=1e-3, atol=1e-4)
    return found


def test_labels_from_a_table_to_an_answer(tmp_path, capsys):
    rows = songs(tmp_path / "songs.csv")
    result = tuneful.optimize(
        "songs.csv", target="happy,calm,sad", leave_out="length,sales", loss="binary_cross_entropy", **{"loss.balance": "labels"},
        name="moods", **QUICK,
    )  # fmt: skip
    assert result.task.kind == "multilabel"
    assert "AUROC" in result.headline
    assert set(result.evidence["per_class"]) == set(MOODS)
    assert len(result.evidence["baselines"]) == 3
    assert result.evidence["test"]["auroc"]["value"] > 0.9
    found = asked(result, rows, (*MOODS, "length", "sales"))
    truth = np.array([[row[mood] == "yes" for mood in MOODS] for row in rows])
    assert found.shape == truth.shape
    assert (found == truth).mean() > 0.85
    report = (result.folder / "report.html").read_text()
    assert "3 labels, any number at once" in report
    assert "Label by label" in report
    assert "any of 3 labels" in (result.artifact.folder / "card.md").read_text()

    assert main(["predict", "moods", "songs.csv"]) == 0
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head == "row,prediction,p(happy),p(calm),p(sad)"
    assert set(first.split(",")[1].split("|")) <= {*MOODS, ""}
    assert main(["evaluate", "moods", "songs.csv", "--json"]) == 0
    measures = json.loads(capsys.readouterr().out)["measures"]
    assert measures["hamming_loss"]["value"] == pytest.approx((found != truth).mean())


def test_several_numbers_from_a_table_to_an_answer(tmp_path, capsys):
    rows = songs(tmp_path / "songs.csv")
    result = tuneful.optimize("songs.csv", target=["length", "sales"], leave_out=MOODS, name="numbers", **QUICK)
    assert result.task.kind == "multiregression"
    assert set(result.evidence["per_target"]) == {"length", "sales"}
    assert result.evidence["test"]["r2_mean"]["value"] > 0.7
    found = asked(result, rows, (*MOODS, "length", "sales"))
    truth = np.array([[row["length"], row["sales"]] for row in rows])
    assert (np.abs(found - truth).mean(axis=0) < 0.5 * np.abs(truth - truth.mean(axis=0)).mean(axis=0)).all()
    assert "Target by target" in (result.folder / "report.html").read_text()
    assert tuneful.load(result.artifact.folder).targets == ("length", "sales")

    assert main(["predict", "numbers", "songs.csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "row,length,sales"
    assert main(["evaluate", "numbers", "songs.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["measures"]["r2_mean"]["value"] > 0.7


def test_losses_and_weights_of_classes_go_through_the_whole_path(tmp_path):
    songs(tmp_path / "songs.csv")
    rare = {"target": "sad", "leave_out": "happy,calm,length,sales"}
    told = {"target": "sales", "leave_out": ("length", *MOODS)}
    for number, (data, loss, more) in enumerate(
        [(rare, "focal", {"loss.gamma": 1.0}), (rare, "cross_entropy", {"loss.balance": "classes"}),
         (told, "huber", {"loss.delta": 0.5}), (told, "quantile", {"loss.level": 0.9})]
    ):  # fmt: skip
        result = tuneful.train("songs.csv", **data, loss=loss, **more, name=f"run{number}", epochs=30, threads=1)
        assert result.candidate.recipe.loss.kind == loss
        assert getattr(result.candidate.recipe.loss, next(iter(more)).partition(".")[2]) == next(iter(more.values()))
        if loss == "quantile":
            split = result.task.valid
            below = (split.y <= judge.predict(result.candidate.network, split.x, kind="regression")).mean()
            assert below > 0.75
