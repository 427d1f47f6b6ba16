"""Splits in the order of time: nothing that was learned from lies after what is predicted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tuneful.core.errors import DataError, RecipeError
from tuneful.pipeline import order
from tuneful.pipeline.prepare import prepare


def stream(n: int = 200, shuffled: bool = True) -> pl.DataFrame:
    dice = np.random.default_rng(0)
    day = np.datetime64("2024-01-01") + np.arange(n) // 4  # four rows a day
    frame = pl.DataFrame({"day": day.astype(str), "time": np.arange(n) / 7, "a": (dice.permutation(n) / 8),
                          "y": dice.choice(["up", "down"], n), "place": np.arange(n)})  # fmt: skip
    return frame.sample(fraction=1, shuffle=True, seed=3) if shuffled else frame


def places(frame: pl.DataFrame, **options) -> dict[str, np.ndarray]:
    """The place in time of the rows of each split, by the value of `a`, which is nearly unique."""
    task = prepare(frame.drop("place"), target="y", scale="deviation", **options)
    column = next(i for i, one in enumerate(task.schema["columns"]) if one["name"] == "a")
    at = task.schema["features"].index("a")
    scale = task.schema["columns"][column]
    known = dict(zip(frame["a"].to_list(), frame["place"].to_list(), strict=True))
    splits = {"train": task.train, "valid": task.valid, "test": task.test.open("test")}
    return {
        name: np.array([known[round(float(v), 3)] for v in split.x[:, at] * scale["std"] + scale["mean"]])
        for name, split in splits.items()
    }


@pytest.mark.parametrize("by", ["day", "time"])
def test_the_future_is_not_learned_from(by: str):
    found = places(stream(), order=by)
    assert found["train"].max() < found["valid"].min()
    assert found["valid"].max() < found["test"].min()
    assert {len(part) for part in found.values()} == {40, 120}


def test_rows_of_one_moment_stay_together():
    found = places(stream(), order="day", test=0.13, valid=0.17)
    days = {name: set(part // 4) for name, part in found.items()}
    assert not days["train"] & days["valid"]
    assert not days["valid"] & days["test"]


def test_the_rows_themselves_are_an_order_also_for_arrays():
    found = places(stream(shuffled=False), order="rows")
    assert found["train"].tolist() == list(range(120))
    x, y = np.random.default_rng(0).normal(size=(50, 2)).astype("f4"), np.arange(50) % 2
    task = prepare((x, y), order="rows", metric="accuracy")
    np.testing.assert_array_equal(task.train.x, x[:30])
    np.testing.assert_array_equal(task.test.open("test").x, x[40:])


def test_a_column_of_moments_is_no_input_unless_it_is_kept():
    frame = stream().drop("place")
    assert "day" not in [c["name"] for c in prepare(frame, target="y", order="day").schema["columns"]]
    assert "day" in [c["name"] for c in prepare(frame, target="y", order="day", keep=["day"]).schema["columns"]]


def test_an_official_test_split_that_is_not_the_future_is_told():
    whole = stream(shuffled=False).drop("place")
    task = prepare((whole[:150], whole[100:]), target="y", order="time")
    assert any("do not test the future" in f.what and f.count == 20 for f in task.findings)


def test_what_is_no_moment_is_told():
    frame = stream().drop("place")
    with pytest.raises(RecipeError, match=r"order names column 'dya', .*; did you mean day"):
        prepare(frame, target="y", order="dya")
    holes = frame.with_columns(pl.when(pl.int_range(pl.len()) < 3).then(None).otherwise(pl.col("time")).alias("time"))
    with pytest.raises(DataError, match=r'column "time" has no value in 3 of 200 rows'):
        prepare(holes, target="y", order="time")
    with pytest.raises(DataError, match=r'column "word" says when by neither numbers nor dates'):
        prepare(frame.with_columns(pl.lit("soon").alias("word")), target="y", order="word")
    same = {"train": np.zeros(20)}
    with pytest.raises(DataError, match="too few moments come before it"):
        order.cut(same, "auto", "auto", "time")
