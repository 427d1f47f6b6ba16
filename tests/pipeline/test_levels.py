"""Levels that have an order: told, learned, measured as scikit-learn measures them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from sklearn import metrics as sk

from tuneful.core.errors import DataError
from tuneful.pipeline import judge
from tuneful.pipeline.prepare import prepare

GRADES = ("poor", "fair", "good", "best")


def table(n: int = 240, words: bool = False) -> pl.DataFrame:
    dice = np.random.default_rng(0)
    a, b = dice.normal(size=(2, n))
    grade = np.clip(np.floor(a + 0.3 * dice.normal(size=n) + 2), 0, 3).astype(int)
    return pl.DataFrame({"a": a.round(3), "b": b.round(3), "grade": [GRADES[g] for g in grade] if words else grade})


def test_levels_in_words_need_their_order_and_numbers_bring_it():
    assert prepare(table(), target="grade", kind="ordinal").labels == ("0", "1", "2", "3")
    task = prepare(table(words=True), target="grade", kind="ordinal", levels=GRADES)
    assert (task.kind, task.labels, task.objective.metric) == ("ordinal", GRADES, "kappa_quadratic")
    with pytest.raises(DataError, match=r"the levels of target .grade. are words .* their order is wanted"):
        prepare(table(words=True), target="grade", kind="ordinal")
    with pytest.raises(DataError, match=r'levels names poor, fair; .* \("best" is in one only\)'):
        prepare(table(words=True), target="grade", kind="ordinal", levels=("poor", "fair"))


@pytest.mark.parametrize("measured", [judge.score, judge.measure, judge.value])
def test_kappa_and_rank_error_are_scikit_learns(measured):
    dice = np.random.default_rng(1)
    y = dice.integers(0, 5, 400)
    q = np.clip(y + dice.integers(-1, 3, 400), 0, 4)
    p = np.eye(5)[q] * 0.6 + 0.08
    for name, wanted in (
        ("kappa_quadratic", sk.cohen_kappa_score(y, q, weights="quadratic")),
        ("rank_error", sk.mean_absolute_error(y, q)),
        ("accuracy", sk.accuracy_score(y, q)),
    ):
        found = measured(name, p, y)
        if measured is judge.score:
            assert found == pytest.approx(wanted)
        else:
            assert found.value == pytest.approx(wanted)
            assert found.low < wanted < found.high


def test_a_network_learns_levels_and_far_misses_are_rare(tmp_path, monkeypatch):
    import tuneful

    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    result = tuneful.train(
        table(words=True), target="grade", kind="ordinal", levels=GRADES, epochs=20, threads=1, name="grades", model="mlp"
    )
    assert result.candidate.recipe.loss.kind == "cumulative"
    assert result.evidence["test"]["kappa_quadratic"]["value"] > 0.6
    assert result.evidence["test"]["rank_error"]["value"] < 0.5
    model = tuneful.load(result.artifact.folder)
    raw = {"a": [-2.5, -0.5, 0.5, 2.5], "b": [0.0] * 4}
    p = model.probabilities(raw)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert list(model.predict(raw))[0::3] == ["poor", "best"]
    x = result.task.valid.x[:5]
    direct = judge.predict(result.candidate.network, torch.from_numpy(x), kind="ordinal")
    assert direct.shape == (5, 4)
    assert "4 ordered levels" in (result.folder / "report.html").read_text()
