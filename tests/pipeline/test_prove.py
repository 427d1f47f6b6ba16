"""Proving: the test split is opened once, baselines stand beside the model, and the headline tells who wins."""

from __future__ import annotations

import json
import math
import time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import Ridge
from torch import nn

from tuneful.core.errors import ModelError
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline.baselines import baselines
from tuneful.pipeline.candidate import Candidate, Network
from tuneful.pipeline.prove import prove


def task(kind, x, y, metric, direction="max", labels=(), margin=0.0):
    n = len(x)
    a, b = n * 6 // 10, n * 8 // 10
    train, valid, test = Split(x[:a], y[:a]), Split(x[a:b], y[a:b]), Split(x[b:], y[b:])
    return Task(
        name="t",
        kind=kind,
        shape=x.shape[1:],
        labels=labels,
        train=train,
        valid=valid,
        test=Sealed(test),
        objective=Objective(metric, direction, margin),
        fingerprint="f",
        schema={},
        target={"name": "y"},
    )


def digits(metric="accuracy", direction="max"):
    data = load_digits()
    x = data.images[:, None].astype(np.uint8)
    return task("multiclass", x, data.target.astype(np.int64), metric, direction, tuple("0123456789"))


def line(metric="rmse", direction="min", bend=0.0):
    dice = np.random.default_rng(0)
    x = dice.normal(size=(500, 3)).astype(np.float32)
    y = x @ [1, -2, 0.5] + bend * np.abs(x[:, 0]) * 5 + 0.1 * dice.normal(size=500)
    return task("regression", x, y.astype(np.float32), metric, direction)


def trained(t, steps, width=0):
    torch.manual_seed(0)
    size = int(np.prod(t.shape))
    layers = [nn.Flatten(), nn.Linear(size, width), nn.ReLU()] if width else [nn.Flatten()]
    body = nn.Sequential(*layers, nn.Linear(width or size, t.outputs))
    x, y = torch.tensor(t.train.x, dtype=torch.float32), torch.tensor(t.train.y)
    optimizer = torch.optim.Adam(body.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        out = body(x)
        loss = nn.functional.mse_loss(out[:, 0], y) if t.kind == "regression" else nn.functional.cross_entropy(out, y)
        loss.backward()
        optimizer.step()
    recipe = cast(Any, SimpleNamespace(as_data=lambda: {"model": "stub"}))
    return Candidate(Network(nn.Identity(), body, nn.Identity()), recipe, steps, seconds={"train": 1.0}, notes=("a note",))


def test_the_evidence_of_digits_is_whole_and_the_test_split_is_opened_once():
    t = digits()
    evidence = prove(t, trained(t, 150, width=64), seconds=120, reason="to prove it")
    assert [entry["reason"] for entry in t.test.openings] == ["to prove it"]
    assert [entry["reason"] for entry in evidence["task"]["openings"]] == ["to prove it"]
    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence
    assert evidence["test"]["accuracy"]["value"] > 0.85
    assert evidence["test"]["accuracy"]["n"] == len(t.test) == np.sum(evidence["confusion"])
    assert np.trace(evidence["confusion"]) / len(t.test) == pytest.approx(evidence["test"]["accuracy"]["value"])
    assert set(evidence["per_class"]) == set("0123456789")
    assert sum(found["n"] for found in evidence["per_class"].values()) == len(t.test)
    assert set(evidence["per_class"]["3"]) == {"precision", "recall", "f1", "n"}
    assert sum(b["n"] for b in evidence["calibration"]) == len(t.test)
    names = [b["name"] for b in evidence["baselines"]]
    assert names == ["majority class", "logistic regression", "gradient-boosted trees"]
    assert evidence["baselines"][1]["measures"]["accuracy"]["value"] > 0.85
    assert evidence["against_baseline"]["test"] == "exact McNemar"
    assert evidence["against_baseline"]["metric"] == "accuracy"
    assert evidence["recipe"] == {"model": "stub"}
    assert "a note" in evidence["notes"]
    assert {"train", "prove", "baselines"} <= set(evidence["seconds"])
    assert evidence["headline"].endswith(").")


def test_an_untrained_network_loses_and_the_headline_begins_with_that():
    t = digits()
    evidence = prove(t, trained(t, 0), seconds=1.5, reason="r")
    assert evidence["against_baseline"]["verdict"] == "worse"
    assert evidence["against_baseline"]["difference"]["high"] < 0
    assert evidence["headline"].startswith("The baseline wins: ")


@pytest.mark.parametrize(("bend", "verdict"), [(1.0, "better"), (0.0, "worse")])
def test_the_verdict_of_a_regression_flips_with_who_is_better(bend, verdict):
    t = line(bend=bend)
    # A bent line is beyond ridge regression (and trees have no time); a straight one is not yet learnt after 40 steps.
    evidence = prove(t, trained(t, 400 if bend else 40, width=32), seconds=0.0, reason="r")
    full = baselines("regression", 1, t.train, t.valid.x, seconds=120)
    assert [b.failed for b in full] == ["", "", ""]
    assert np.allclose(full[1].predictions, Ridge().fit(t.train.x, t.train.y).predict(t.valid.x), atol=0.05)
    assert all(b["failed"].startswith("skipped: ") for b in evidence["baselines"][1:])
    assert evidence["against_baseline"]["baseline"] == "mean of train"
    assert evidence["against_baseline"]["verdict"] == "better"
    rich = prove(t, trained(t, 400 if bend else 40, width=32), seconds=120, reason="r")
    assert rich["against_baseline"]["verdict"] == verdict
    assert rich["headline"].startswith("The baseline wins" if verdict == "worse" else "The model reaches RMSE")
    assert (rich["against_baseline"]["difference"]["value"] > 0) == (verdict == "better")
    assert len(rich["residuals"]["true"]) == len(rich["residuals"]["predicted"]) == len(t.test)
    assert rich["confusion"] == []


def test_a_difference_within_the_margin_is_a_tie():
    t = line()
    wide = task("regression", np.concatenate([t.train.x] * 2), np.concatenate([t.train.y] * 2), "rmse", "min", margin=100.0)
    evidence = prove(wide, trained(wide, 5), seconds=3, reason="r")
    assert evidence["against_baseline"]["verdict"] == "tie"
    assert "a tie with the best baseline" in evidence["headline"]


def test_two_classes_are_proven_by_auroc():
    dice = np.random.default_rng(0)
    x = dice.normal(size=(400, 4)).astype(np.float32)
    y = (x[:, 0] + 0.3 * dice.normal(size=400) > 0).astype(np.int64)
    t = task("binary", x, y, "auroc", labels=("no", "yes"))
    evidence = prove(t, trained(t, 100), seconds=3, reason="r")
    assert evidence["test"]["auroc"]["value"] > 0.95
    assert evidence["against_baseline"]["test"] == "paired DeLong"
    assert evidence["against_baseline"]["verdict"] in ("tie", "better")


def test_predictions_that_are_not_numbers_stop_before_the_test_split_is_opened():
    t = digits()
    candidate = trained(t, 0)
    with torch.no_grad():
        next(candidate.network.parameters()).fill_(math.nan)
    with pytest.raises(ModelError, match=r"359 of 359 predictions on the validation split are not finite numbers"):
        prove(t, candidate, seconds=5, reason="r")
    assert t.test.openings == []


def test_a_network_of_the_wrong_width_is_refused_with_a_sentence():
    t = digits()
    wrong = Candidate(Network(nn.Flatten(), nn.Linear(64, 7), nn.Identity()), trained(t, 0).recipe, 0)
    with pytest.raises(ModelError, match=r"predictions of shape \(359, 7\) for 359 examples; it must be \(359, 10\)"):
        prove(t, wrong, seconds=5, reason="r")


def test_a_class_without_test_examples_is_noted():
    t = digits()
    keep = t.test.open("setting up").y != 4
    split = t.test.open("setting up")
    part = Task(**{**vars(t), "test": Sealed(Split(split.x[keep], split.y[keep]))})
    evidence = prove(part, trained(t, 30), seconds=0.5, reason="r")
    assert any("1 of 10 classes have no test example (4)" in note for note in evidence["notes"])
    assert evidence["per_class"]["4"]["recall"]["value"] is None


def test_the_constant_baseline_is_scikit_learns_dummy():
    t = digits()
    found = baselines("multiclass", 10, t.train, t.valid.x, seconds=0.0)
    dummy = DummyClassifier(strategy="prior").fit(t.train.x, t.train.y)
    np.testing.assert_allclose(found[0].predictions, dummy.predict_proba(t.valid.x))
    assert found[1].predictions is None
    assert found[1].failed.startswith("skipped: ")


def test_baselines_keep_to_their_time_and_say_what_they_cut():
    dice = np.random.default_rng(0)
    y = dice.integers(10, size=8000)
    x = dice.integers(0, 200, size=(8000, 1, 40, 40), dtype=np.uint8)
    x[np.arange(8000), 0, y, y] = 255
    begin = time.perf_counter()
    found = baselines("multiclass", 10, Split(x, y), x[:500], seconds=3.0, threads=1)
    took = time.perf_counter() - begin
    assert any("for want of time" in b.note or b.failed.startswith("skipped") for b in found)
    if took > 9:
        pytest.fail(f"3 s were allowed and {took:.1f} s taken")


def test_one_class_in_train_is_told_as_a_failure():
    x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    found = baselines("binary", 2, Split(x, np.zeros(300, np.int64)), x[:20], seconds=5)
    assert found[1].failed.startswith("scikit-learn refused: ")
    assert found[1].predictions is None
