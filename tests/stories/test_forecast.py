"""From a table with a column of times to a sealed model that says what comes next, without torch."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tuneful
from tuneful.cli import main
from tuneful.core.errors import DataError, ModelError

CHILD = """
import csv, json, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "pydantic", "scipy", "polars"):
            raise ImportError(f"{name} must not be needed")
sys.meta_path.insert(0, Nothing())
import tuneful
from tuneful.runtime.preprocess import read_rows
print(json.dumps(tuneful.load(sys.argv[1]).forecast(read_rows(sys.argv[2]))))
"""


@pytest.fixture
def load(tmp_path, monkeypatch) -> Path:
    """The hourly load of a town over 50 days: a day, a week, a slow walk."""
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    dice, hours = np.random.default_rng(0), np.arange(24 * 50)
    load = (
        50 + 10 * np.sin(2 * np.pi * hours / 24) + 4 * ((hours // 24) % 7 < 5) + np.cumsum(dice.normal(0, 0.2, len(hours)))
    )
    when = np.datetime64("2024-02-05T00") + hours
    with (tmp_path / "load.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "load", "wind"])
        writer.writerows(
            [f"{str(t)[:10]} {str(t)[11:13]}:00", f"{x:.2f}", f"{dice.normal():.2f}"]
            for t, x in zip(when, load, strict=True)
        )
    return tmp_path / "load.csv"


def test_a_table_of_hours_becomes_a_model_that_says_the_next_day(load, capsys):
    result = tuneful.optimize(
        "load.csv", target="load", horizon=6, window=24, epochs=8, threads=1, budget="2 trials", name="town"
    )
    task, evidence = result.task, result.evidence
    assert task.kind == "forecasting"
    assert "blocks of" in evidence["test"]["rmse"]["how"]
    assert list(evidence["per_target"]) == [f"load +{step}" for step in range(1, 7)]
    assert [one["name"] for one in evidence["baselines"]] == ["last value", "one season before", "ridge on the window"]
    last = evidence["baselines"][0]["measures"]
    assert evidence["test"]["rmse"]["value"] < 0.8 * last["rmse"]["value"]
    scaled = evidence["test"]["mse"]["value"] / task.target["std"][0] ** 2
    assert evidence["test"]["mse_scaled"]["value"] == pytest.approx(scaled)
    report = (result.folder / "report.html").read_text()
    assert "Forecasts beside the truth" in report
    assert "How far ahead" in report
    assert "what comes next" in report

    assert "the next 6 values" in (result.artifact.folder / "card.md").read_text()
    model = tuneful.load(result.artifact.folder)
    with load.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    told = model.forecast(rows)
    assert told["time"] == [f"2024-03-26 0{hour}:00:00" for hour in range(6)]
    np.testing.assert_allclose(model.predict(pl.DataFrame(rows)), told["load"])
    np.testing.assert_allclose(model.predict(rows[-24:]), told["load"], rtol=1e-6)
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(result.artifact.folder), str(load)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["load"] == pytest.approx(told["load"], rel=1e-5)
    with pytest.raises(DataError, match="the past has 3 moments"):
        model.predict(rows[:3])
    with pytest.raises(ModelError, match="has no probabilities"):
        model.probabilities(rows)

    assert main(["predict", "town", "load.csv"]) == 0
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head == "time,load"
    assert first.startswith("2024-03-26 00:00:00,")
    assert main(["evaluate", "town", "load.csv", "--json"]) == 0
    measures = json.loads(capsys.readouterr().out)["measures"]
    assert measures["rmse"]["n"] == len(rows) - 24 - 6 + 1
    assert main(["evaluate", "town", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["measures"]["rmse"]
    assert again["value"] == pytest.approx(evidence["test"]["rmse"]["value"])


def test_several_targets_stand_side_by_side(load):
    result = tuneful.train("load.csv", target="load,wind", horizon=3, window=24, epochs=2, threads=1)
    assert result.task.objective.metric == "rmse_scaled"
    told = tuneful.load(result.artifact.folder).forecast(pl.read_csv(load))
    assert list(told) == ["time", "load", "wind"]
    assert tuneful.load(result.artifact.folder).predict(pl.read_csv(load)).shape == (3, 2)
