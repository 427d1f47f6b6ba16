"""Reference statistics tell the columns as they were given, and count as numpy and scipy count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tuneful.core.artifact import LAYOUT, seal
from tuneful.core.errors import ArtifactError
from tuneful.pipeline.prepare import prepare
from tuneful.runtime import features, reference
from tuneful.runtime.preprocess import apply


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[str]], Any]:
    """The raw columns of a table with gaps, rare towns and dates, and its task."""
    dice = np.random.default_rng(0)
    n = 400
    raw = {
        "age": [f"{value:.1f}" if dice.random() > 0.1 else "" for value in dice.normal(40, 12, n)],
        "town": [("Ulm", "Bonn", "Kiel", "")[at] for at in dice.choice(4, n, p=(0.5, 0.3, 0.15, 0.05))],
        "joined": [f"2{at % 20:03}-0{at % 9 + 1}-1{at % 10}" for at in range(n)],
        "bought": [("no", "yes")[at] for at in dice.integers(0, 2, n)],
    }
    path = tmp_path_factory.mktemp("people") / "people.csv"
    rows = zip(*raw.values(), strict=True)
    path.write_text("\n".join([",".join(raw), *(",".join(row) for row in rows)]) + "\n")
    return raw, prepare(path, target="bought")


def test_columns_come_back_in_their_own_unit(people: tuple[dict[str, list[str]], Any]):
    raw, task = people
    found = {one.name: one for one in features.of_input(task.schema, apply(task.schema, raw))}
    age = np.array([float(text or "nan") for text in raw["age"]])
    knots = next(column for column in task.schema["columns"] if column["name"] == "age")["knots"]
    np.testing.assert_allclose(found["age"].values, np.clip(age, knots[1], knots[-2]), rtol=1e-4)  # the ends have one rank
    names = (*found["town"].levels, None)  # -1, a missing one, is the last
    assert [names[code] or "" for code in found["town"].values] == raw["town"]
    assert found["joined.year"].values[:3].round().tolist() == [2000, 2001, 2002]


def test_counts_of_a_column_are_those_of_numpy_and_scipy():
    dice = np.random.default_rng(1)
    values = dice.gamma(2.0, size=5000)
    values[::10] = np.nan
    (told,) = reference.described([features.Feature("rain", values)])
    there = values[np.isfinite(values)]
    assert (told["n"], told["missing"]) == (4500, 500)
    edges = [-np.inf, *told["edges"], np.inf]
    np.testing.assert_array_equal(told["counts"], np.histogram(there, edges)[0])
    assert max(told["counts"]) - min(told["counts"]) <= 2
    grid = np.linspace(0, 1, len(told["quantiles"]))
    np.testing.assert_allclose(told["quantiles"][1:-1], stats.mstats.mquantiles(there, grid[1:-1], 1, 1), rtol=1e-5)
    assert told["quantiles"][0] == pytest.approx(there.min())
    assert stats.ks_2samp(told["quantiles"], there).statistic < 0.005  # so fine that a test on them is one on the data


def test_a_value_that_repeats_has_its_bin():
    values = np.concatenate([np.zeros(700), np.arange(1.0, 301.0)])
    (told,) = reference.described([features.Feature("claims", values)])
    assert told["counts"][0] == 700
    assert sum(told["counts"]) == 1000
    (flat,) = reference.described([features.Feature("constant", np.full(9, 2.0))])
    assert (flat["edges"], flat["counts"], flat["quantiles"]) == ([], [9], [2.0] * 9)
    (none,) = reference.described([features.Feature("nothing", np.full(4, np.nan))])
    assert (none["n"], none["missing"], none["counts"]) == (0, 4, [0])


def test_blur_and_noise_move_the_edges_of_images():
    dice = np.random.default_rng(2)
    images = dice.integers(0, 255, (8, 3, 16, 16)).astype(np.uint8)
    schema = {"kind": "image", "shape": [3, 16, 16]}
    told = {one.name: one.values for one in features.of_input(schema, images)}
    assert list(told) == [f"{what} {at}" for at in range(3) for what in ("mean", "spread", "edges")]
    blurred = (images.astype(float) + np.roll(images, 1, axis=3)) / 2
    dull = {one.name: one.values for one in features.of_input(schema, blurred)}
    assert (dull["edges 1"] < told["edges 1"]).all()
    np.testing.assert_allclose(dull["mean 1"], told["mean 1"])


def test_a_tone_has_the_loudness_and_crossings_that_physics_gives_it():
    seconds = np.arange(8000) / 8000
    tone = (0.5 * np.sin(2 * np.pi * 440 * seconds + 0.1) * 32768).astype(np.int16)[None, None]
    loudness, crossings, silence = features.of_input({"kind": "audio"}, tone)
    assert loudness.values[0] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert crossings.values[0] == pytest.approx(2 * 440 / 8000, rel=0.01)
    assert silence.values[0] < 0.01


@pytest.mark.parametrize(
    ("kind", "told", "wanted"),
    [
        ("multiclass", [[0.2, 0.8], [0.6, 0.4]], {"confidence": [0.8, 0.6], "prediction": [1, 0]}),
        ("multilabel", [[0.2, 0.8], [0.6, 0.4]], {"confidence": [0.8, 0.6], "label a": [0, 1], "label b": [1, 0]}),
        ("regression", [3.0, 4.0], {"value": [3.0, 4.0]}),
        ("segmentation", [[[[0.2, 0.8], [0.6, 0.4]]]], {"confidence": [0.7], "share of a": [0.5], "share of b": [0.5]}),
        ("tagging", [[[0.2, 0.8], [0.6, 0.4], [0.0, 1.0]]], {"confidence": [0.7], "prediction": [1, 0]}),
    ],
)
def test_answers_of_each_kind(kind: str, told: Any, wanted: dict[str, list[float]]):
    found = features.of_answers(kind, ("a", "b"), (), np.array(told, np.float32), np.array([2]))
    assert [one.name for one in found] == list(wanted)
    for one in found:
        np.testing.assert_allclose(one.values, wanted[one.name], rtol=1e-6)


def sealed(folder: Path, told: Any) -> Any:
    return seal(folder, {**dict.fromkeys(LAYOUT, b"x"), "reference.json": told}, "0.1.0")


def test_what_was_written_is_read(tmp_path: Path):
    features_ = reference.described(
        [features.Feature("a", np.arange(50.0)), features.Feature("b", np.array([0, -1, 2]), ("x", "y"))]
    )
    told = {"format": 1, "inputs": {"split": "train", "of": 50, "n": 50, "features": features_},
            "answers": {"split": "valid", "of": 2, "n": 2, "features": [], "sample": reference.sample(np.eye(2), np.arange(2))}}  # fmt: skip
    assert reference.read(sealed(tmp_path / "a", told)) == json.loads(json.dumps(told))
    assert reference.read(seal(tmp_path / "b", dict.fromkeys(LAYOUT, b"x"), "0.1.0")) is None


@pytest.mark.parametrize(
    "change",
    [
        {"n": 49},
        {"missing": -1},
        {"quantiles": [2.0, 1.0]},
        {"counts": [50]},
        {"counts": ["x"]},
        {"type": "number", "edges": None},
    ],
)
def test_statistics_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, Any]):
    (feature,) = reference.described([features.Feature("a", np.arange(50.0))])
    told = {"format": 1, "inputs": {"split": "train", "of": 50, "n": 50, "features": [feature | change]}}
    with pytest.raises(ArtifactError, match="inputs is not as `ship` writes it"):
        reference.read(sealed(tmp_path / "a", told))
