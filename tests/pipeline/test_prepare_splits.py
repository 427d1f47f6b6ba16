"""Splits: stratified, seeded, disjoint, kept when official, and fingerprinted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneful.core.errors import DataError
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.split import cut, thin


def numbered(n, classes=4, seed=0):
    """Examples that carry their own number, so that a test can see where each went."""
    y = np.random.default_rng(seed).integers(0, classes, n)
    return np.stack([np.arange(n), np.arange(n) % 7], axis=1).astype(np.float32), y


def where(task):
    return [split.x[:, 0].astype(int) for split in (task.train, task.valid, task.test.open("test"))]


def test_every_example_goes_to_one_split_with_its_label():
    x, y = numbered(500)
    task = prepare((x, y))
    parts = where(task)
    assert sorted(np.concatenate(parts)) == list(range(500))
    for part, split in zip(parts, (task.train, task.valid, task.test.open("test"))):
        np.testing.assert_array_equal(split.y, y[part])
    assert [len(p) for p in parts] == [300, 100, 100]


def test_shares_of_each_class_are_equal_in_all_splits():
    y = np.repeat([0, 1, 2], [700, 200, 100])
    task = prepare((numbered(1000)[0], y))
    for split, n in ((task.train, 600), (task.valid, 200), (task.test.open("test"), 200)):
        np.testing.assert_array_equal(np.bincount(split.y), np.array([0.7, 0.2, 0.1]) * n)


def test_numbers_are_stratified_too():
    y = np.random.default_rng(0).lognormal(0, 2, 2000)
    task = prepare((numbered(2000)[0], y))
    deciles = np.quantile(y, np.arange(1, 10) / 10)
    counts = np.bincount(np.digitize(task.valid.y, deciles), minlength=10)
    assert counts.min() >= 38  # plain chance would scatter by 6
    assert counts.max() <= 42


def test_the_seed_decides_and_nothing_else():
    data = numbered(300)
    a, b, c = prepare(data), prepare(data), prepare(data, seed=1)
    assert a.fingerprint == b.fingerprint
    assert a.fingerprint != c.fingerprint
    assert set(where(a)[1]) != set(where(c)[1])


def test_one_changed_value_changes_the_fingerprint():
    x, y = numbered(300)
    changed = x.copy()
    changed[5, 1] += 1
    assert prepare((x, y)).fingerprint != prepare((changed, y)).fingerprint


def test_official_splits_are_kept_in_order():
    x, y = numbered(300)
    task = prepare(((x[:200], y[:200]), (x[200:250], y[200:250]), (x[250:], y[250:])))
    assert [list(p) for p in where(task)] == [list(range(200)), list(range(200, 250)), list(range(250, 300))]
    task = prepare({"train": (x[:200], y[:200]), "test": (x[200:], y[200:])})
    train, valid, test = where(task)
    assert list(test) == list(range(200, 300))
    assert sorted([*train, *valid]) == list(range(200))


def test_equal_examples_stay_together():
    x, y = numbered(400)
    x, y = np.concatenate([x, x[:60]]), np.concatenate([y, y[:60]])
    train, valid, test = map(set, where(prepare((x, y))))
    assert not train & valid
    assert not train & test
    assert not valid & test


def test_a_leak_across_official_splits_is_counted():
    x, y = numbered(300)
    task = prepare({"train": (x[:200], y[:200]), "valid": (x[200:250], y[200:250]), "test": (x[190:], y[190:])})
    found = {f.what: f.count for f in task.findings}
    assert found["examples of test are in train too (a leak)"] == 10
    assert found["examples of test are in valid too (a leak)"] == 50


def test_equal_examples_with_other_labels_are_told():
    x, y = numbered(300)
    x[10], y[10], y[20] = x[20], 0, 1
    task = prepare(((x, y), (x[:50], y[:50]), (x[50:], y[50:])))
    assert any(f.what == "equal examples bear different classes in train" and f.count == 1 for f in task.findings)


def test_limit_thins_each_split_by_class():
    x, y = numbered(2000)
    task = prepare((x, y), limit=80)
    assert [len(p) for p in where(task)] == [80, 80, 80]
    assert np.bincount(task.train.y).min() >= 17


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.integers(0, 5), st.floats(0.05, 0.4), st.floats(0.05, 0.4))
def test_train_has_every_class_and_no_example_is_lost(counts, seed, valid, test):
    y = np.repeat(np.arange(len(counts)), counts)
    twins = np.arange(len(y), dtype=np.uint64)
    try:
        chosen, _ = cut({"train": y}, {"train": twins}, valid, test, seed)
    except DataError:
        assert sum(count >= 3 for count in counts) < 1 or len(y) * min(valid, test) < 3
        return
    parts = [indices for _, indices in chosen.values()]
    assert sorted(np.concatenate(parts)) == list(range(len(y)))
    assert set(y[chosen["train"][1]]) == set(range(len(counts)))
    for number, count in enumerate(counts):
        if count >= 3 and valid + test < 0.6:
            assert all((y[part] == number).any() for part in parts)


def test_thinning_keeps_every_class():
    y = np.repeat([0, 1, 2], [1000, 5, 1])
    kept = thin(y, 50, 0)
    assert len(kept) <= 50
    assert set(y[kept]) == {0, 1, 2}


@pytest.mark.parametrize("seed", range(3))
def test_imbalance_and_small_classes_are_told(seed):
    y = np.repeat([0, 1, 2], [500, 40, 6])
    task = prepare((numbered(546)[0], y), seed=seed)
    found = {f.what: f.examples for f in task.findings}
    assert found["classes have fewer than 10 examples in train"] == ("2: 4",)
    assert found["the classes are unbalanced"] == ("0: 300", "2: 4")
