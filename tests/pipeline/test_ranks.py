"""Numbers made normal by their ranks: as scikit-learn's transformer does it, fitted on train, the same in the runtime."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import QuantileTransformer

from tuneful.pipeline.prepare import prepare
from tuneful.runtime.preprocess import apply


def table(n: int = 3000) -> pl.DataFrame:
    dice = np.random.default_rng(0)
    skewed = np.exp(2 * dice.normal(size=n))
    skewed[::500] = 1e7
    some = np.where(dice.random(n) < 0.1, np.nan, dice.integers(0, 4, n))
    return pl.DataFrame({"skewed": skewed, "ties": some, "y": np.log(skewed) + dice.normal(size=n)})


def test_is_scikit_learns_quantile_transform_and_outliers_do_not_matter():
    task = prepare(table(), target="y", kind="regression", scale="ranks")
    column = task.schema["columns"][0]
    assert column["name"] == "skewed"
    raw = np.exp(2 * np.random.default_rng(1).normal(size=500))
    ours = apply(task.schema, {"skewed": raw, "ties": np.zeros(500)})[:, 0]
    theirs = (
        QuantileTransformer(output_distribution="normal").fit(table()["skewed"].to_numpy()[:, None]).transform(raw[:, None])
    )
    middle = np.abs(theirs[:, 0]) < 2
    assert np.abs(ours - theirs[:, 0])[middle].mean() < 0.03  # ours is fitted on the train split alone
    assert abs(float(task.train.x[:, 0].mean())) < 0.02
    assert float(task.train.x[:, 0].std()) == pytest.approx(1, abs=0.03)
    assert float(np.abs(task.train.x[:, 0]).max()) < 5


def test_equal_numbers_stay_equal_and_what_misses_is_in_the_middle():
    task = prepare(table(), target="y", kind="regression", scale="ranks")
    x = apply(task.schema, {"skewed": [1.0] * 6, "ties": [0, 1, 2, 3, None, 2]})
    ties = x[:, 1]
    assert (np.diff(ties[:4]) > 0).all()
    assert ties[5] == ties[2]
    assert x[4, 2] == 1
    assert np.isfinite(x).all()
    beyond = apply(task.schema, {"skewed": [-1e30, 1e30], "ties": [0, 3]})
    assert np.isfinite(beyond).all()
    assert np.abs(beyond).max() < 6
