"""Open sets: which examples are of no class, what is taught of them, how the model abstains, and every measure against scikit-learn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn import metrics as sk
from torch.nn import functional as F

from tuneful.core.errors import DataError, RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline import openset
from tuneful.pipeline.batches import Batches
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.goals.openset import WithEnergy
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.step import augmented
from tuneful.pipeline.train import Run
from tuneful.runtime import openset as scoring
from tuneful.techniques.losses import CrossEntropy
from tuneful.techniques.regularizers import Exposure


def told(n: int, classes: int, far: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(what is exported [n, classes + 1], the classes [n], the logits) of examples that stand out by `far`."""
    dice = np.random.default_rng(seed)
    y = dice.integers(0, classes, n)
    z = dice.normal(size=(n, classes))
    z[np.arange(n), y] += far
    return WithEnergy()(torch.from_numpy(z)).numpy(), y, z


# Which examples are outside


def arrays(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(0)
    return dice.normal(size=(n, 3)).astype("f4"), np.array(["a", "b", "c", "OOS"] * (n // 4))


def test_a_plain_label_is_found_and_told_and_counts_as_no_example():
    task = prepare(arrays())
    assert (task.kind, task.labels, task.outsiders()) == ("openset", ("a", "b", "c"), {"train": 18, "valid": 6, "test": 6})
    assert (len(task.train), len(task.valid), len(task.test)) == (54, 18, 18)
    assert task.train.y.max() == 2
    assert any('labelled "OOS" are of no class' in f.what and f.count == 30 for f in task.findings)
    assert task.target["outside"] == ["OOS"]


def test_none_makes_a_class_of_it_and_a_kind_of_classes_too():
    assert prepare(arrays(), outside="none").labels == ("OOS", "a", "b", "c")
    assert prepare(arrays(), kind="multiclass").kind == "multiclass"


def test_any_label_may_be_named_and_a_wrong_one_is_told():
    x, y = arrays()
    assert prepare((x, np.where(y == "OOS", "unclear", y)), outside=["unclear", "c"]).labels == ("a", "b")
    with pytest.raises(DataError, match=r'outside names "OSO", and no example bears that label') as told_:
        prepare((x, y), outside="OSO")
    assert "is it OOS?" in told_.value.hint
    with pytest.raises(RecipeError, match="outside is for tasks of classes; kind is regression"):
        prepare((x, y), outside="OOS", kind="regression")
    with pytest.raises(RecipeError, match=r"coverage is 95; it must be in \(0, 1\)"):
        prepare((x, y), coverage=95)
    with pytest.raises(DataError, match='a class is called "abstain"'):
        prepare((x, np.where(y == "a", "abstain", y)))


def test_two_classes_of_which_one_is_called_oos_are_two_classes():
    x, y = arrays()
    assert prepare((x, np.where(y == "OOS", "oos", "in"))).kind == "binary"


def test_a_table_and_a_file_of_outsiders(tmp_path: Path):
    dice = np.random.default_rng(0)
    rows = {"size": dice.normal(size=90), "kind": ["a", "b", "c"] * 30}
    pl.DataFrame(rows).write_csv(tmp_path / "data.csv")
    pl.DataFrame({"size": dice.normal(size=25), "kind": ["?"] * 25}).write_csv(tmp_path / "others.csv")
    task = prepare(tmp_path / "data.csv", outside=str(tmp_path / "others.csv"), kind="openset")
    assert (task.labels, task.outsiders()) == (("a", "b", "c"), {"train": 0, "valid": 0, "test": 25})
    assert any("nothing teaches the network" in f.what for f in task.findings)
    (tmp_path / "named.csv").write_text((tmp_path / "data.csv").read_text().replace(",c\n", ",out_of_scope\n"))
    assert prepare(tmp_path / "named.csv").outsiders() == {"train": 18, "valid": 6, "test": 6}


def test_parts_of_a_source_that_are_outside(tmp_path: Path):
    known = [[f"pay {i} now", "pay"] for i in range(20)] + [[f"go {i} home", "go"] for i in range(20)]
    parts = {"train": known, "test": known[::4], "oos_test": [["what is this", "oos"]] * 3}
    (tmp_path / "d.json").write_text(json.dumps(parts))
    task = prepare(tmp_path / "d.json")
    assert (task.kind, task.labels, task.outsiders()["test"]) == ("openset", ("go", "pay"), 3)
    only = {"train": known, "oos_test": [["what is this", "oos"]] * 3}
    (tmp_path / "e.json").write_text(json.dumps(only))
    with pytest.raises(DataError, match="test holds no example of a class, 3 outside of them"):
        prepare(tmp_path / "e.json")


def test_a_list_of_texts_whose_label_is_none_holds_outsiders():
    texts = [f"{word} number {k}" for k in range(30) for word in ("pay", "go", "moon")]
    task = prepare((texts, ["pay", "go", None] * 30))
    assert (task.kind, task.labels, sum(task.outsiders().values())) == ("openset", ("go", "pay"), 30)
    assert prepare((texts, ["pay", "go", None] * 30), outside="none").labels == ("go", "oos", "pay")


def test_cleaning_leaves_outsiders_beside_the_classes(tmp_path: Path):
    x, y = arrays()
    x[3::8] = x[7::8]  # each outsider is there twice
    task = prepare((x, y), clean="deduplicate")
    assert {one.split for one in task.cleaning} == {"train"}
    assert task.outsiders()["train"] < prepare((x, y)).outsiders()["train"]
    assert task.labels == ("a", "b", "c")
    assert task.origin is not None
    np.testing.assert_array_equal(x[task.origin.rows], task.train.x)
    (tmp_path / "fix.csv").write_text(
        f"example,given,suggested\n{int(task.origin.rows[0]) + 1},{y[task.origin.rows[0]]},OOS\n"
    )
    moved = prepare((x, y), clean=f"relabel={tmp_path / 'fix.csv'}")
    assert len(moved.train) == len(prepare((x, y)).train) - 1
    assert moved.outsiders()["train"] == prepare((x, y)).outsiders()["train"] + 1


def test_outsiders_are_part_of_the_fingerprint():
    x, y = arrays()
    moved = x.copy()
    moved[y == "OOS"] += 1
    assert prepare((x, y)).fingerprint != prepare((moved, y)).fingerprint


# What is taught


def test_exposure_is_the_loss_of_its_source_by_hand():
    """Cross-entropy of the known, and weight times the mean over the classes of -log q for the others (Hendrycks et al. 2019)."""
    z, y, weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 3, -1, 2, -1, 1]), 1.5
    target = Exposure(weight=weight).outsiders(F.one_hot(y.clamp(min=0), 4).float() * (y >= 0).unsqueeze(1))
    logs = z.log_softmax(1)
    known = F.cross_entropy(z[y >= 0], y[y >= 0], reduction="sum")
    theirs = (known + weight * -logs[y < 0].mean(1).sum()) / (4 + 2 * weight)
    loss = CrossEntropy()
    torch.testing.assert_close(loss.total(z, target, None) / loss.weight(target, None), theirs)


def test_outsiders_of_train_are_seen_where_the_recipe_exposes_them():
    task = prepare(arrays())
    recipe = resolve(Recipe(), task)
    assert next(one.kind for one in recipe.regularizers) == "exposure"
    batches = Batches(task, recipe, torch.device("cpu"))
    assert (len(batches.y), int((batches.y == -1).sum())) == (72, 18)
    x, y = batches.at(0)
    _, soft = augmented(x, y, task, recipe, 0, torch.nn.Identity())
    torch.testing.assert_close(soft[y < 0], torch.full((int((y < 0).sum()), 3), 1 / 3))
    assert torch.equal(soft[y >= 0], F.one_hot(y[y >= 0], 3).float())
    plain = resolve(Recipe().replace("regularizers", ()), task)
    assert len(Batches(task, plain, torch.device("cpu")).y) == 54


# Scores and the threshold


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_the_watch_of_a_run_takes_rows_of_heavy_outsiders_for_no_fault(weight: float):
    run = Run(prepare(arrays()), Recipe(regularizers=(Exposure(weight=weight),), epochs=30, batch_size=16))
    for _ in run:
        pass
    assert not any("rows of target probabilities" in one for one in run.notes)


def test_scores_are_those_of_the_logits():
    what, _, z = told(50, 7, 3.0, 0)
    q = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(scoring.scores("max_logit", what), z.max(1))
    np.testing.assert_allclose(scoring.scores("energy", what), np.log(np.exp(z).sum(1)))
    np.testing.assert_allclose(scoring.scores("probability", what), q.max(1))


def test_the_rule_answers_the_share_of_valid_that_was_asked_for():
    known, _, _ = told(400, 5, 3.0, 0)
    how = openset.rule(known, None, 0.9)
    assert how["score"] == "max_logit"
    assert (scoring.margins(how, known) >= 0).mean() == pytest.approx(0.9, abs=1 / 400)
    assert "no examples from outside" in how["chosen"]


def test_the_score_is_the_best_one_on_valid():
    known, _, _z = told(300, 5, 3.0, 0)
    outside = WithEnergy()(torch.from_numpy(np.random.default_rng(1).normal(size=(60, 5)) - 1)).numpy()
    y = np.repeat([1, 0], [300, 60])
    areas = {
        name: sk.roc_auc_score(y, np.r_[scoring.scores(name, known), scoring.scores(name, outside)])
        for name in scoring.SCORES
    }
    assert openset.rule(known, outside, 0.95)["score"] == max(areas, key=lambda name: areas[name])


def test_measures_are_scikit_learns_and_counts_by_hand():
    known, y, _ = told(300, 5, 2.5, 0)
    outside, _, _ = told(120, 5, 0.5, 1)
    how = openset.rule(known, outside, 0.9)
    found = openset.measured(how, known, y, outside)
    score = np.r_[scoring.scores(how["score"], known), scoring.scores(how["score"], outside)]
    truth = np.repeat([1, 0], [300, 120])
    assert found["auroc_outside"].value == pytest.approx(sk.roc_auc_score(truth, score))
    fpr, tpr, _ = sk.roc_curve(truth, score, drop_intermediate=False)
    assert found["fpr_at_95"].value == pytest.approx(fpr[np.argmax(tpr >= 0.95)])
    said, right = score >= how["threshold"], known[:, :-1].argmax(1) == y
    assert found["coverage"].value == pytest.approx(said[:300].mean())
    assert found["accuracy_answered"].value == pytest.approx(
        sk.accuracy_score(y[said[:300]], known[said[:300], :-1].argmax(1))
    )
    assert found["outside_rejected"].value == pytest.approx((~said[300:]).mean())
    assert found["accuracy_open"].value == pytest.approx(((said[:300] & right).sum() + (~said[300:]).sum()) / 420)
    for measure in found.values():
        assert measure.low <= measure.value <= measure.high


def test_the_area_under_the_risk_is_a_sum_by_hand():
    """Known best to worst: right, wrong, right, wrong: risks 0, 1/2, 1/3, 2/4; their mean is 1/3."""
    found = openset.aurc(np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False]))
    assert found.value == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)


def test_the_interval_of_the_area_holds_the_truth():
    def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        dice = np.random.default_rng(seed)
        sure = dice.random(n)
        return sure, dice.random(n) < 0.6 + 0.4 * sure

    truth = openset.aurc(*drawn(200_000, 0)).value
    held = sum((m := openset.aurc(*drawn(300, 100 + seed), seed)).low <= truth <= m.high for seed in range(100))
    assert held >= 88


def test_the_curve_ends_where_everything_is_answered():
    known, y, _ = told(300, 5, 2.5, 0)
    outside, _, _ = told(120, 5, 0.5, 1)
    how = openset.rule(known, outside, 0.9)
    points = openset.curve(how, known, y, outside)
    assert points[-1]["coverage"] == 1
    assert points[-1]["risk"] == pytest.approx((known[:, :-1].argmax(1) != y).mean())
    here = scoring.scores(how["score"], outside) >= points[10]["threshold"]
    assert points[10]["outside"] == pytest.approx(here.mean())
    assert [p["coverage"] for p in points] == sorted(p["coverage"] for p in points)
