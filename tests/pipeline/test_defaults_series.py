"""What "auto" means for time series and for forecasts."""

from __future__ import annotations

import numpy as np
import polars as pl

import tuneful
from tuneful.core.recipe import Recipe
from tuneful.pipeline.defaults import dials, resolve


def waves(n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(0)
    y = np.arange(n) % 2
    x = np.sin(np.arange(length) * (0.3 + 0.2 * y)[:, None] + dice.uniform(0, 6, (n, 1)))
    return x + 0.1 * dice.normal(size=x.shape), y


def test_few_series_get_windows_that_spread_and_a_long_run_of_small_batches():
    plan = resolve(Recipe(), tuneful.prepare(waves(100, 60), form="series"))
    assert plan.model.kind == "conv1d"
    assert (plan.model.norm, plan.model.pool) == ("batch", "mean")
    assert (plan.batch_size, plan.epochs, plan.validate_every) == (16, 150.0, 10.0)
    assert [one.kind for one in plan.regularizers] == ["averaging"]
    assert "moment" in plan.reasons["model"]


def test_very_short_series_are_vectors_of_numbers():
    assert resolve(Recipe(), tuneful.prepare(waves(100, 6), form="series")).model.kind == "mlp"


def test_a_forecast_gets_an_mlp_with_dropout_and_stops_early():
    hours = np.arange(400)
    when = [f"2024-01-{1 + h // 24:02} {h % 24:02}:00" for h in hours]
    frame = pl.DataFrame({"when": when, "load": np.sin(2 * np.pi * hours / 24)})
    task = tuneful.prepare(frame, target="load", horizon=4)
    plan = resolve(Recipe(), task)
    assert plan.model.kind == "mlp"
    assert {one.kind: getattr(one, "rate", None) for one in plan.regularizers}["dropout"] == 0.3
    assert "model.depth" in dials(task, plan)
