"""Type by type: precision, recall and F1 as seqeval defines them, counted by hand, and what is taken for what."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from tuneful.pipeline.types import confusion, counts, names, per_type

LABELS = ("O", "B-loc", "I-loc", "B-per", "I-per")
# Sentence 1: loc(0-1) right, per(3) called loc. Sentence 2: per(0-2) called per(0-1), and a per out of nothing at 4; place 5 is none.
TRUE = np.array([[1, 2, 0, 3, 0, -1], [3, 4, 4, 0, 0, -1]])
SAID = np.array([[1, 2, 0, 1, 0, 1], [3, 4, 0, 0, 3, 3]])


def test_spans_by_type_are_counted_by_hand():
    table = counts("entities", np.eye(5)[SAID], TRUE, 2)
    assert table.sum(axis=0).tolist() == [[1, 0], [2, 2], [1, 2]]  # right, called, there; loc, per
    found = per_type("entities", np.eye(5)[SAID], TRUE, LABELS)
    assert [(name, its["n"], its["called"]) for name, its in found.items()] == [("loc", 1, 2), ("per", 2, 2)]
    loc = {key: found["loc"][key].value for key in ("precision", "recall", "f1")}
    assert loc == pytest.approx({"precision": 1 / 2, "recall": 1.0, "f1": 2 / 3})
    assert found["per"]["f1"].value == 0


def test_types_add_up_to_the_whole_f1_of_seqeval():
    """The example of test_places, for which seqeval 1.2.2 gives an F1 of 0.1904761904761905 over both types."""
    said = np.array([[4, 2, 0, 3, 2, 2], [4, 3, 1, 3, 4, 3], [0, 0, 0, 3, 1, 4]])
    true = np.array([[2, 2, 1, 3, 0, 2], [1, 3, 3, 3, 4, 4], [0, 0, 0, 3, 4, 4]])
    right, called, there = counts("entities", np.eye(5)[said], true, 2).sum(axis=(0, 2))
    assert 2 * right / (called + there) == pytest.approx(0.1904761904761905)


def test_places_by_type_as_scikit_learn_counts_them():
    every, found = confusion("entities", np.eye(5)[SAID], TRUE, LABELS)
    assert every == ["O", "loc", "per"]
    there = TRUE >= 0
    kind = np.array([0, 1, 1, 2, 2])
    assert found.tolist() == sk.confusion_matrix(kind[TRUE[there]], kind[SAID[there]], labels=range(3)).tolist()


def test_tags_one_by_one_are_scikit_learns():
    dice = np.random.default_rng(0)
    p, y = dice.random((40, 12, 3)), dice.integers(-1, 3, (40, 12))
    found = per_type("tagging", p, y, ("a", "b", "c"))
    true, said = y[y >= 0], p.argmax(-1)[y >= 0]
    theirs = sk.precision_recall_fscore_support(true, said, labels=range(3))
    for k, its in enumerate(found.values()):
        mine = (its["precision"].value, its["recall"].value, its["f1"].value, its["n"])
        assert mine == pytest.approx(tuple(column[k] for column in theirs))
        assert its["f1"].low <= its["f1"].value <= its["f1"].high
    assert names("tagging", ("a", "b")) == ["a", "b"]


def test_intervals_take_whole_sentences():
    """Thirty sentences of twenty places that are all right or all wrong are worth thirty answers."""
    dice = np.random.default_rng(1)
    right = dice.random(60) < 0.7
    y = np.zeros((60, 20), dtype=np.int64)
    p = np.where(right[:, None, None], np.array([0.9, 0.1]), np.array([0.1, 0.9])) * np.ones((60, 20, 1))
    recall = per_type("tagging", p, y, ("a", "b"))["a"]["recall"]
    half = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 60)
    assert (recall.high - recall.low) / 2 == pytest.approx(half, rel=0.25)
