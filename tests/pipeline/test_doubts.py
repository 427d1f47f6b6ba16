"""Suspected label errors: planted ones are found, and clean data is mostly left in peace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline import doubts, foldwise
from tuneful.pipeline.prepare import prepare


def task(x: np.ndarray, y: np.ndarray, classes: int) -> Task:
    split = Split(x.astype("f4"), y.astype("i8"))
    return Task("made", "multiclass", x.shape[1:], tuple(map(str, range(classes))), split, split, Sealed(split),
                Objective("accuracy", "max"), "1" * 32, {"kind": "vector", "shape": list(x.shape[1:])})  # fmt: skip


def test_planted_errors_on_digits_are_found(tmp_path: Path):
    x, y = load_digits(return_X_y=True)
    dice = np.random.default_rng(0)
    planted = dice.choice(len(y), 90, replace=False)
    wrong = y.copy()
    wrong[planted] = (y[planted] + dice.integers(1, 10, 90)) % 10
    found = doubts.doubts(task(x, wrong, 10), seconds=600)
    hits = np.isin(found.at, planted)
    assert hits.sum() >= 0.9 * 90  # recall
    assert hits.mean() >= 0.6  # precision
    assert hits[:60].mean() >= 0.9  # the first of the list deserve it most
    truth = dict(enumerate(y))
    assert np.mean([truth[k] == j for k, j in zip(found.at[hits], found.instead[hits], strict=True)]) > 0.9
    told = doubts.finding(task(x, wrong, 10), found)
    assert told.count == len(found.at)
    assert "none is changed or left out" in told.what
    # The list, acted on by hand, takes out these examples and no others.
    (tmp_path / "list.csv").write_text(doubts.as_csv(doubts.listed(task(x, wrong, 10), found)))
    cleaned = prepare({"train": (x, wrong), "valid": (x[:50], y[:50]), "test": (x[50:99], y[50:99])},
                      clean=f"drop_labels={tmp_path / 'list.csv'}")  # fmt: skip
    assert sorted(set(range(len(y))) - set(cleaned.origin.rows.tolist())) == sorted(found.at.tolist())


def test_the_quick_model_finds_planted_errors_in_a_second_or_two():
    x, y = load_digits(return_X_y=True)
    dice = np.random.default_rng(0)
    planted = dice.choice(len(y), 90, replace=False)
    wrong = y.copy()
    wrong[planted] = (y[planted] + dice.integers(1, 10, 90)) % 10
    told = foldwise.probabilities(task(x, wrong, 10), np.arange(len(y)), 2.9)
    if told.p is None:
        pytest.skip(f"the machine is busy: {told.why_not}")
    assert told.model == "a logistic regression"
    at, _ = doubts.suspects(told.p, wrong)
    assert np.isin(planted, at).mean() >= 0.7
    assert np.isin(at, planted).mean() >= 0.85
    assert np.isin(at[:60], planted).mean() >= 0.95


def test_planted_errors_in_texts_and_in_large_images_are_found():
    dice = np.random.default_rng(2)
    y = np.arange(300) % 2
    words = np.where(y[:, None] == 1, dice.integers(3, 52, (300, 20)), dice.integers(48, 97, (300, 20)))
    images = dice.normal(size=(300, 3, 40, 40)).astype("f4") + 0.4 * y[:, None, None, None]
    planted = dice.choice(300, 15, replace=False)
    wrong = y.copy()
    wrong[planted] = 1 - y[planted]
    for x, kind in ((words.astype("i4"), "tokens"), (images, "image")):
        made = task(x, wrong, 2)
        split = Split(x, wrong.astype("i8"))
        made = Task(**(vars(made) | {"schema": {"kind": kind}, "shape": x.shape[1:], "train": split}))
        found = doubts.doubts(made, seconds=600)
        assert np.isin(planted, found.at).all(), kind
        assert np.isin(found.at, planted).mean() >= 0.8, kind


def test_suspects_are_those_of_the_paper_s_rule():
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.1, 0.9], [0.85, 0.15]])
    y = np.array([0, 0, 1, 1, 1])
    # usual for 0: 0.75, for 1: 0.617; the last bears 1 and only 0 passes its bound
    at, instead = doubts.suspects(p, y)
    assert (at.tolist(), instead.tolist()) == ([4], [0])


def test_where_nothing_can_be_said_the_reason_is_told():
    x = np.random.default_rng(0).normal(size=(40, 3))
    assert "fewer than 5" in doubts.doubts(task(x, np.array([0] * 37 + [1] * 3), 2), 10).why_not
    assert "no time" in doubts.doubts(task(x, np.arange(40) % 2, 2), 0.0).why_not
    assert "more than the 0.0 s" in doubts.doubts(task(x, np.arange(40) % 2, 2), 1e-9).why_not
    numbers = task(x, np.arange(40) % 2, 2)
    values = Task(
        **(vars(numbers) | {"kind": "regression", "labels": (), "train": Split(numbers.train.x, x[:, 0].astype("f4"))})
    )
    assert "no single class" in doubts.doubts(values, 10).why_not
    assert doubts.finding(values, doubts.doubts(values, 10)) is None


@pytest.mark.parametrize("classes", [2, 3])
def test_clean_data_is_mostly_left_in_peace(classes: int):
    dice = np.random.default_rng(1)
    y = dice.integers(0, classes, 300)
    x = dice.normal(size=(300, 4)) * 0.3 + 3 * y[:, None]
    assert len(doubts.doubts(task(x, y, classes), 600).at) <= 6
