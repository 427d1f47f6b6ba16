"""An open set from a file to a model that abstains: trained, proven, shipped, asked without torch, measured again, reported."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import tuneful
from tuneful.cli import main

PAY = ["pay", "bill", "money", "send", "transfer", "cash", "bank", "account"]
GO = ["go", "drive", "route", "road", "traffic", "travel", "train", "ticket"]
EAT = ["eat", "cook", "food", "recipe", "meal", "dinner", "lunch", "restaurant"]
ELSE = ["sky", "moon", "planet", "comet", "star", "galaxy", "orbit", "eclipse"]


def sentences(words: list[str], n: int, seed: int) -> list[str]:
    dice = np.random.default_rng(seed)
    return [" ".join(["please", *dice.choice(words, 3), "now"]) for _ in range(n)]


def intents(path: Path) -> Path:
    parts: dict[str, list[list[str]]] = {}
    for at, (name, n) in enumerate((("train", 60), ("val", 30), ("test", 40))):
        parts[name] = [[text, label] for k, (label, words) in enumerate((("pay", PAY), ("go", GO), ("eat", EAT)))
                       for text in sentences(words, n, 10 * at + k)]  # fmt: skip
        parts[f"oos_{name}"] = [[text, "oos"] for text in sentences(ELSE, n, 10 * at + 5)]
    path.write_text(json.dumps(parts))
    return path


def test_a_model_of_intents_abstains_from_what_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    data = intents(tmp_path / "intents.json")
    result = tuneful.train(str(data), epochs=30, batch_size=16, threads=1)
    test = result.evidence["test"]
    assert result.task.kind == "openset"
    assert test["accuracy"]["value"] > 0.95
    assert test["accuracy"]["n"] == 120
    assert test["auroc_outside"]["value"] > 0.95
    assert test["auroc_outside"]["n"] == 160
    assert "tells these from 40 examples of no class" in result.headline
    baseline = next(b for b in result.evidence["baselines"] if "logistic" in b["name"])
    assert 0.5 <= baseline["measures"]["auroc_outside"]["value"] <= 1

    model = tuneful.load(result.artifact.folder)
    texts = ["please pay bank cash now", "please comet moon orbit now", "please cook meal dinner now"]
    assert model.predict(texts).tolist() == ["pay", "abstain", "eat"]
    assert (model.margins(texts) >= 0).tolist() == [True, False, True]
    np.testing.assert_allclose(model.probabilities(texts).sum(axis=1), 1, rtol=1e-5)
    how = json.loads((result.artifact.folder / "preprocessing.json").read_text())["openset"]
    assert how["threshold"] == pytest.approx(result.evidence["openset"]["threshold"])

    (tmp_path / "q.txt").write_text("\n".join(texts))
    assert main(["predict", str(result.folder), str(tmp_path / "q.txt")]) == 0
    lines = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [line["prediction"] for line in lines] == ["pay", "abstain", "eat"]
    assert float(lines[1]["margin"]) < 0 < float(lines[0]["margin"])

    for words in ([str(result.folder)], [str(result.artifact.folder), str(data)]):
        assert main(["evaluate", *words, "--json"]) == 0
        again = json.loads(capsys.readouterr().out)["measures"]
        for name in ("accuracy", "auroc_outside", "coverage", "outside_rejected"):
            assert again[name]["value"] == pytest.approx(test[name]["value"], abs=1e-6)

    told = (result.folder / "report.html").read_text()
    assert "Coverage and risk" in told
    assert "It abstains where the" in told
    assert "the model abstains where its score" in (result.artifact.folder / "card.md").read_text()


def test_only_outsiders_cannot_be_measured_and_it_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    result = tuneful.train(str(intents(tmp_path / "intents.json")), epochs=1, threads=1)
    (tmp_path / "oos.json").write_text(json.dumps([[text, "oos"] for text in sentences(ELSE, 20, 3)]))
    assert main(["evaluate", str(result.artifact.folder), str(tmp_path / "oos.json")]) == 2
    assert "20 examples from outside and none of a class" in " ".join(capsys.readouterr().err.split())


def test_without_any_outsider_the_model_still_abstains(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    dice = np.random.default_rng(0)
    y = np.repeat(["low", "mid", "high"], 60)
    x = (dice.normal(size=(180, 4)) + np.repeat([-4, 0, 4], 60)[:, None]).astype("f4")
    result = tuneful.train((x, y), kind="openset", coverage=0.9, epochs=15, threads=1)
    assert "auroc_outside" not in result.evidence["test"]
    assert result.evidence["valid"]["coverage"]["value"] == pytest.approx(0.9, abs=1 / 36 + 1e-9)
    assert set(tuneful.load(result.artifact.folder).predict(x).tolist()) == {"low", "mid", "high", "abstain"}


def test_a_model_of_a_list_of_texts_reads_the_column_text_of_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    texts = [text for words in (PAY, GO, ELSE) for text in sentences(words, 60, len(words[0]))]
    labels = ["pay"] * 60 + ["go"] * 60 + [None] * 60
    result = tuneful.train((texts, labels), epochs=20, batch_size=16, threads=1)
    lines = "please pay bank cash now,pay\nplease drive road route now,go\nplease comet moon orbit now,oos\n"
    (tmp_path / "new.csv").write_text("text,label\n" + lines)
    assert main(["evaluate", str(result.artifact.folder), str(tmp_path / "new.csv"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["measures"]["accuracy"]["value"], told["measures"]["accuracy"]["n"]) == (1.0, 2)
    assert told["measures"]["auroc_outside"]["value"] == 1.0
    model = tuneful.load(result.artifact.folder)
    assert model.predict([{"text": "please pay bank cash now"}]).tolist() == ["pay"]

    (tmp_path / "other.csv").write_text("said,label\n" + lines)
    assert main(["evaluate", str(result.artifact.folder), str(tmp_path / "other.csv")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "trained on texts without a column, so theirs must be called text" in said
    assert "the columns given are said, label" in said
    (tmp_path / "other.csv").write_text("text,intent\n" + lines)
    assert main(["evaluate", str(result.artifact.folder), str(tmp_path / "other.csv")]) == 2
    assert 'has no column "label", the target of this model' in " ".join(capsys.readouterr().err.split())
