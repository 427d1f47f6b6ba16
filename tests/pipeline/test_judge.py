"""Metrics against scikit-learn, intervals against simulated truth, predictions against plain torch."""

from __future__ import annotations

import math
import time
import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from torch import nn

from tuneful.core.errors import ModelError, RecipeError
from tuneful.pipeline import details, judge
from tuneful.pipeline.judge import METRICS

CLASSES = [name for name, metric in METRICS.items() if "binary" in metric.kinds]
VALUES = [name for name, metric in METRICS.items() if "regression" in metric.kinds]


def classes(n, labels, strength=1.5, seed=0, temperature=1.0):
    """Calibrated probabilities when temperature is 1, and the labels drawn with them."""
    dice = np.random.default_rng(seed)
    y = dice.integers(labels, size=n)
    z = dice.normal(size=(n, labels))
    z[np.arange(n), y] += strength
    e = np.exp(temperature * strength * (z - z.max(axis=1, keepdims=True)))
    return e / e.sum(axis=1, keepdims=True), y


def theirs(name, p, y):
    q, binary = p.argmax(axis=1), p.shape[1] == 2
    kind, _, average = name.partition("_")
    if kind in ("f1", "precision", "recall"):
        return getattr(sk, f"{kind}_score")(y, q, average=average, zero_division=0)
    if name == "auroc":
        return sk.roc_auc_score(y, p[:, 1]) if binary else sk.roc_auc_score(y, p, multi_class="ovr", average="macro")
    if name == "log_loss":
        return sk.log_loss(y, p, labels=range(p.shape[1]))
    if name == "brier":
        return sk.brier_score_loss(y, p[:, 1] if binary else p, labels=range(p.shape[1]))
    if name == "calibration_error":
        right, confidence = q == y, p.max(axis=1)
        share, mean = calibration_curve(right, confidence, n_bins=15)
        sizes = np.histogram(confidence, np.linspace(0, 1, 16))[0]
        return float(np.abs(share - mean) @ sizes[sizes > 0]) / len(y)
    return getattr(sk, f"{name}_score")(y, q)


@pytest.mark.parametrize("labels", [2, 3, 10])
@pytest.mark.parametrize("name", CLASSES)
def test_metrics_of_classes_are_scikit_learns(name, labels):
    p, y = classes(300, labels, strength=1.0)
    p = np.round(p, 2) + 1e-9  # with ties
    p /= p.sum(axis=1, keepdims=True)
    expected = theirs(name, p, y)
    for found in (judge.score(name, p, y), judge.measure(name, p, y).value, judge.value(name, p, y).value):
        assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", VALUES)
def test_metrics_of_values_are_scikit_learns(name):
    dice = np.random.default_rng(0)
    y = (1e5 + 1e3 * dice.normal(size=200)).astype(np.float32)
    p = y + 500 * dice.normal(size=200)
    long = {"mse": "mean_squared_error", "rmse": "root_mean_squared_error", "mae": "mean_absolute_error", "r2": "r2_score"}
    expected = getattr(sk, long[name])(y.astype(float), p)
    for found in (judge.score(name, p, y), judge.measure(name, p, y).value, judge.value(name, p, y).value):
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "labels", "strength"), [(150, 2, 1.0), (100, 2, 3.0), (200, 5, 2.5)])
def test_intervals_hold_the_truth(n, labels, strength):
    big = classes(300_000, labels, strength, seed=1)
    truth = {name: judge.score(name, *big) for name in CLASSES}
    held = dict.fromkeys(CLASSES, 0)
    for seed in range(120):
        p, y = classes(n, labels, strength, seed=5000 + seed)
        for name, found in judge.measures(CLASSES, p, y, seed).items():
            held[name] += found.low <= truth[name] <= found.high
    for name, count in held.items():
        # Losses of sure and mostly right models hang on a few examples: no interval from 100 examples can know them.
        assert count / 120 >= 0.9 or (name in ("log_loss", "brier") and strength == 3.0), (name, count / 120)


def test_intervals_of_values_hold_the_truth():
    truth, held = {"mse": 0.25, "rmse": 0.5, "mae": 0.5 * math.sqrt(2 / math.pi), "r2": 0.8}, dict.fromkeys(VALUES, 0)
    dice = np.random.default_rng(3)
    for seed in range(200):
        x = dice.normal(size=60)
        for name, found in judge.measures(VALUES, x, x + 0.5 * dice.normal(size=60), seed).items():
            held[name] += found.low <= truth[name] <= found.high
    assert {name: count for name, count in held.items() if count < 180} == {}


def test_a_flawless_split_does_not_make_a_sure_interval():
    p, y = np.eye(3)[np.arange(60) % 3], np.arange(60) % 3
    for name, found in judge.measures(CLASSES, p, y).items():
        if METRICS[name].direction == "max":
            assert found.value == 1 == found.high
            assert 0.85 < found.low < 0.99, name


def test_delong_is_its_textbook_formula():
    p, y = classes(80, 2, 1.0, seed=4)
    a, b = p[y == 1, 1], p[y == 0, 1]
    wins = (a[:, None] > b).astype(float)
    error = math.sqrt(wins.mean(axis=1).var(ddof=1) / len(a) + wins.mean(axis=0).var(ddof=1) / len(b))
    found = judge.value("auroc", p, y)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.06)  # Wilson's form pulls in a little
    other = classes(80, 2, 1.0, seed=5)[0]
    c, d = other[y == 1, 1], other[y == 0, 1]
    gap = wins - (c[:, None] > d)
    error = math.sqrt(gap.mean(axis=1).var(ddof=1) / len(a) + gap.mean(axis=0).var(ddof=1) / len(b))
    paired = judge.compare("auroc", p, other, y)
    assert paired.difference.high - paired.difference.low == pytest.approx(2 * 1.959964 * error, rel=1e-6)


@pytest.mark.parametrize("name", [*CLASSES, *VALUES])
def test_compare_sees_a_better_model_from_either_side(name):
    if name in VALUES:
        dice = np.random.default_rng(0)
        y = dice.normal(size=300)
        good, bad = y + 0.1 * dice.normal(size=300), y + dice.normal(size=300)
    else:
        good, y = classes(300, 3, 2.5)
        bad = np.roll(good, 1, axis=0) * 0.6 + good * 0.4
    won, lost, same = (
        judge.compare(name, good, bad, y),
        judge.compare(name, bad, good, y),
        judge.compare(name, good, good, y),
    )
    assert won.difference.low > 0 > lost.difference.high
    assert won.p < 0.01 > lost.p
    assert same.difference.value == 0
    assert same.p == 1


@pytest.mark.parametrize("name", ["f1_macro", "log_loss", "auroc", "accuracy"])
def test_compare_rarely_sees_what_is_not_there(name):
    seen = 0
    for seed in range(100):
        p, y = classes(150, 3, 1.0, seed=seed)
        q, _ = classes(150, 3, 1.0, seed=seed)
        dice = np.random.default_rng(seed)
        noise = [np.log(part) + dice.normal(size=part.shape) for part in (p, q)]
        a, b = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in noise)
        seen += judge.compare(name, a, b, y, seed, resamples=500).p < 0.05
    assert seen <= 12


def test_absent_classes_are_told_and_do_not_crash():
    p, y = classes(50, 4)
    p, y = p[y < 2], y[y < 2]
    for name, found in judge.measures(CLASSES, p, y).items():
        assert math.isfinite(found.value), name
    assert "2 of 4 classes are absent" in judge.measure("f1_macro", p, y).how
    each = details.per_class(p, y)
    assert each[3]["recall"].how == "undefined: there are no examples"
    alone = judge.measures(CLASSES, p[y == 0], y[y == 0])
    assert alone["auroc"].how.startswith("undefined: the split has one class only")
    assert math.isfinite(alone["balanced_accuracy"].value)


def test_what_cannot_be_measured_is_nan_and_says_why():
    p, y = classes(20, 3)
    p[3, 1] = math.nan
    for make in (judge.value, judge.measure):
        found = make("accuracy", p, y)
        assert math.isnan(found.value)
        assert found.how == "undefined: 1 of 20 predictions are not finite numbers"
    assert "equal" in judge.measure("r2", np.arange(4.0), np.ones(4)).how
    for name in CLASSES:
        assert judge.value(name, p[:0], y[:0]).how == "undefined: there are no examples"
        assert judge.measure(name, p[:1], y[:1]).n == 1


def test_per_class_is_scikit_learns_report():
    p, y = classes(200, 4, 1.0)
    report = sk.classification_report(y, p.argmax(axis=1), output_dict=True)
    for c, found in enumerate(details.per_class(p, y)):
        for ours, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert found[ours].value == pytest.approx(report[str(c)][key])
            assert found[ours].low < found[ours].value < found[ours].high
    assert (details.confusion(p, y) == sk.confusion_matrix(y, p.argmax(axis=1))).all()
    assert sum(b["n"] for b in details.calibration(p, y)) == 200


def test_refusals_are_sentences():
    p, y = classes(10, 3)
    with pytest.raises(RecipeError, match="did you mean accuracy"):
        judge.score("acuracy", p, y)
    with pytest.raises(RecipeError, match=r"rmse.*does not serve probabilities"):
        judge.value("rmse", p, y)
    with pytest.raises(ModelError, match="both must have one entry an example"):
        judge.measure("accuracy", p, y[:5])
    with pytest.raises(ModelError, match="with 3 outputs they must lie in"):
        judge.score("accuracy", p, y + 2)


def test_predict_gives_softmax_without_gradients_and_restores_each_mode():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 3)).train()
    net[3].eval()
    x = np.random.default_rng(0).integers(0, 256, size=(50, 1, 3, 4), dtype=np.uint8)
    x.flags.writeable = False
    found = judge.predict(net, x, batch=7)
    assert [part.training for part in (net, net[2], net[3])] == [True, True, False]
    with torch.no_grad():
        expected = net.eval()(torch.tensor(x, dtype=torch.float32)).double().softmax(dim=1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(judge.predict(net, torch.tensor(x)), found, atol=1e-6)
    assert judge.predict(nn.Linear(4, 1), np.zeros((5, 4), np.float32)).shape == (5,)
    assert judge.predict(nn.Linear(4, 2), np.zeros((0, 4), np.float32)).shape == (0, 2)
    with pytest.raises(ModelError, match=r"must be \[batch, outputs\]"):
        judge.predict(nn.Identity(), np.zeros((5, 4, 2), np.float32))


def test_a_value_costs_little_at_every_validation():
    p, y = classes(2000, 10)
    for name in CLASSES:
        best = math.inf
        for _ in range(5):
            begin = time.perf_counter()
            judge.value(name, p, y)
            best = min(best, time.perf_counter() - begin)
        if best > 0.05:  # ten times what it should be: not a slow machine but a slow method
            pytest.fail(f"{name} took {1e3 * best:.1f} ms")


def test_extreme_probabilities_raise_no_warnings():
    p, y = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in CLASSES:
            assert math.isfinite(judge.measure(name, p, y).value)
            assert math.isfinite(judge.value(name, p, y).low)
