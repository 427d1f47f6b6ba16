"""Labels and several targets: told apart from the data, measured as scikit-learn measures them, with honest intervals."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from tuneful.core.errors import DataError, RecipeError
from tuneful.pipeline import details, judge, split
from tuneful.pipeline.baselines import baselines
from tuneful.pipeline.metrics import METRICS
from tuneful.pipeline.prepare import prepare

LABELS = [name for name, metric in METRICS.items() if "multilabel" in metric.kinds]
COLUMNS = [name for name, metric in METRICS.items() if "multiregression" in metric.kinds]


def answers(n: int, seed: int = 0, of: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of labels, and the labels drawn with them."""
    dice = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-1.5 * dice.normal(size=(n, of)) + np.linspace(-1, 1, of)))
    return p, (dice.random((n, of)) < p).astype("i1")


def theirs(name: str, p: np.ndarray, y: np.ndarray) -> float:
    q = (p >= 0.5).astype(int)
    kind, _, average = name.partition("_")
    if kind in ("f1", "precision", "recall"):
        return getattr(sk, f"{kind}_score")(y, q, average=average, zero_division=0)
    if kind == "auroc":
        return sk.roc_auc_score(y, p, average=average or "macro")
    if name == "log_loss":
        return float(np.mean([sk.log_loss(y[:, k], p[:, k]) for k in range(y.shape[1])]))
    if name == "brier":
        return float(np.mean([sk.brier_score_loss(y[:, k], p[:, k]) for k in range(y.shape[1])]))
    return {"subset_accuracy": sk.accuracy_score, "hamming_loss": sk.hamming_loss}[name](y, q)


@pytest.mark.parametrize("name", LABELS)
def test_metrics_of_labels_are_scikit_learns(name: str):
    p, y = answers(300)
    expected = theirs(name, p, y)
    for found in (judge.score(name, p, y), judge.measure(name, p, y).value, judge.value(name, p, y).value):
        assert found == pytest.approx(expected, abs=1e-9)


def test_intervals_of_labels_hold_the_truth():
    big = answers(200_000, seed=1)
    truth = {name: judge.score(name, *big) for name in LABELS}
    held = dict.fromkeys(LABELS, 0)
    for seed in range(100):
        p, y = answers(150, seed=100 + seed)
        for name, found in judge.measures(LABELS, p, y, seed).items():
            held[name] += found.low <= truth[name] <= found.high
    assert {name: count for name, count in held.items() if count < 89} == {}


def test_labels_that_are_not_known_are_not_judged():
    p, y = answers(200)
    hidden = y.copy()
    hidden[:, 3] = -1
    for name in ("auroc", "f1_macro", "f1_micro", "hamming_loss", "log_loss", "brier", "auroc_micro", "subset_accuracy"):
        assert judge.score(name, p, hidden) == pytest.approx(judge.score(name, p[:, :3], y[:, :3])), name


@pytest.mark.parametrize("name", LABELS)
def test_a_better_model_of_labels_is_found_better(name: str):
    p, y = answers(400)
    worse = np.clip(p + np.random.default_rng(77).normal(0, 0.6, p.shape), 0.01, 0.99)
    test = judge.compare(name, p, worse, y)
    assert test.difference.value > 0
    assert test.p < 0.05
    assert judge.compare(name, p, p, y).p == 1


@pytest.mark.parametrize("name", COLUMNS)
def test_metrics_of_several_values_are_scikit_learns(name: str):
    dice = np.random.default_rng(0)
    y = (dice.normal(size=(200, 3)) * (1, 10, 1000) + (0, 5, 1e4)).astype("f4")
    p = y + dice.normal(size=(200, 3)) * (0.5, 2, 800)
    wide = y.astype(float)
    errors = np.sqrt(sk.mean_squared_error(wide, p, multioutput="raw_values"))
    expected = {
        "r2_mean": sk.r2_score(wide, p), "mae_mean": sk.mean_absolute_error(wide, p), "rmse_mean": errors.mean(),
        "rmse_scaled": (errors / wide.std(axis=0)).mean(),
    }[name]  # fmt: skip
    for found in (judge.score(name, p, y), judge.measure(name, p, y).value, judge.value(name, p, y).value):
        assert found == pytest.approx(expected, rel=1e-6)
    each = details.per_target(p, y)
    assert [found["r2"].value for found in each] == pytest.approx(sk.r2_score(wide, p, multioutput="raw_values").tolist())


def test_a_metric_of_another_kind_is_refused_with_those_that_fit():
    p, y = answers(20)
    with pytest.raises(RecipeError, match=r"does not serve labels \[N, L\]; it must be one of subset_accuracy"):
        judge.score("accuracy", p, y)


def test_per_class_is_scikit_learns_report_of_labels():
    p, y = answers(200)
    theirs_ = sk.precision_recall_fscore_support(y, p >= 0.5)
    for k, found in enumerate(details.per_class(p, y)):
        assert [found[key].value for key in ("precision", "recall", "f1")] == pytest.approx(
            [part[k] for part in theirs_[:3]]
        )


# What the data is


def frame(n: int = 120) -> pl.DataFrame:
    dice = np.random.default_rng(0)
    x = dice.normal(size=(n, 2))
    return pl.DataFrame({
        "happy": np.where(x[:, 0] > 0, "yes", "no"), "calm": (x[:, 1] > 0.5).astype(int), "a": x[:, 0].round(3), "b": x[:, 1].round(3),
        "weight": (70 + 5 * x[:, 0]).round(2), "height": (170 + 8 * x[:, 1]).round(1),
        "moods": [["happy"] * bool(a > 0) + ["calm"] * bool(b > 0.5) for a, b in x],
        "words": ["|".join(["happy"] * bool(a > 0) + ["calm"] * bool(b > 0.5)) for a, b in x],
    })  # fmt: skip


def test_columns_of_yes_and_no_are_labels():
    task = prepare(frame().drop("moods", "words"), target="happy,calm")
    assert (task.kind, task.labels, task.outputs, task.objective.metric) == ("multilabel", ("happy", "calm"), 2, "auroc")
    assert task.train.y.shape == (len(task.train), 2)
    assert task.target["columns"] == ["happy", "calm"]
    assert not any(column["name"] in ("happy", "calm") for column in task.schema["columns"])


def test_columns_of_numbers_are_several_targets_each_standardized_by_itself():
    task = prepare(frame().drop("moods", "words"), target=["weight", "height"])
    assert (task.kind, task.labels, task.outputs, task.objective.metric) == ("multiregression", (), 2, "r2_mean")
    np.testing.assert_allclose(task.target["mean"], task.train.y.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("column", ["moods", "words"])
def test_a_column_of_lists_is_labels_and_so_is_parted_text_when_it_is_said(column: str):
    other = "words" if column == "moods" else "moods"
    table = frame().drop(other)
    if column == "words":
        table = table.with_columns(
            pl.when(pl.col("words") == "").then(pl.lit("none")).otherwise(pl.col("words")).alias("words")
        )
    task = prepare(table, target=column, kind="multilabel" if column == "words" else None)
    assert task.kind == "multilabel"
    assert set(task.labels) >= {"happy", "calm"}
    assert task.target["lists"] == ("|" if column == "words" else "")


def test_arrays_of_zeros_and_ones_are_labels_one_hot_rows_are_classes_and_floats_are_targets():
    x, y = np.random.default_rng(0).normal(size=(90, 3)).astype("f4"), answers(90)[1]
    assert prepare((x, y)).kind == "multilabel"
    assert prepare((x, np.eye(3)[np.arange(90) % 3])).kind == "multiclass"
    assert prepare((x, np.eye(3)[np.arange(90) % 3]), kind="multilabel").kind == "multilabel"
    assert prepare((x, x[:, :2] + 1)).kind == "multiregression"
    words = [["a"] * bool(r[0] > 0) + ["b"] * bool(r[1] > 0) for r in x]
    assert prepare((x, words)).labels == ("a", "b")


def test_a_label_without_a_value_is_not_known():
    table = frame().drop("moods", "words").with_columns(
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise(pl.col("calm")).alias("calm")
    )  # fmt: skip
    task = prepare(table, target="happy,calm", kind="multilabel")
    parts = [task.train.y, task.valid.y, task.test.open("test").y]
    assert sum(int((y == -1).sum()) for y in parts) == 12
    assert any("neither learned nor judged" in finding.what for finding in task.findings)


def test_what_does_not_go_together_is_told():
    table = frame().drop("moods", "words")
    with pytest.raises(DataError, match='"happy" says yes or no and "weight" does not'):
        prepare(table, target="happy,weight")
    with pytest.raises(DataError, match="kind is binary, and 2 columns are the target"):
        prepare(table, target="happy,calm", kind="binary")
    with pytest.raises(DataError, match=r'label "weight" holds .* it must be 1 or 0, yes or no'):
        prepare(table, target="happy,weight", kind="multilabel")
    with pytest.raises(DataError, match='column "moods" holds lists'):
        prepare(frame(), target="happy")


def test_each_label_goes_to_each_split():
    y = np.zeros((200, 5), dtype="i1")
    y[np.arange(15), 0] = 1  # rare
    y[:, 1:] = answers(200)[1]
    chosen, _ = split.cut({"train": y}, {"train": np.arange(200, dtype="u8")}, "auto", "auto", 0)
    for _, indices in chosen.values():
        assert y[indices, 0].sum() >= 2
        assert (y[indices].sum(axis=0) > 0).all()


@pytest.mark.parametrize("kind", ["multilabel", "multiregression"])
def test_baselines_of_several_beat_a_constant(kind: str):
    dice = np.random.default_rng(0)
    x = dice.normal(size=(400, 4)).astype("f4")
    y = x[:, :2] + 0.3 * dice.normal(size=(400, 2))
    y = (y > 0).astype("i1") if kind == "multilabel" else y.astype("f4")
    task = prepare({"train": (x[:200], y[:200]), "valid": (x[200:300], y[200:300]), "test": (x[300:], y[300:])})
    assert task.kind == kind
    found = baselines(task.kind, task.outputs, task.train, task.valid.x, 20, threads=1)
    assert [b.failed for b in found] == [""] * 3
    metric = task.objective.metric
    values = [judge.score(metric, b.predictions, task.valid.y) for b in found]
    assert values[1] > values[0] + 0.3
    assert values[2] > values[0] + 0.3
