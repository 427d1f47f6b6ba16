"""Windows of a forecast: what belongs to which split, what is seen and asked, what is refused."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import nn

import tuneful
from tuneful.core.errors import DataError, RecipeError
from tuneful.pipeline import judge
from tuneful.pipeline.candidate import Network, ends
from tuneful.pipeline.export import export
from tuneful.pipeline.goals import form, goal
from tuneful.pipeline.naive import opponents
from tuneful.pipeline.prove import measured_of
from tuneful.runtime import windows
from tuneful.runtime.load import fed, open_session
from tuneful.techniques.models import MLP, make

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[3] / "shared" / "data")


def table(rows: int, step: str = "h", **more: object) -> pl.DataFrame:
    """Row n holds n, and a second column 1000 + n % 7."""
    when = np.datetime64("2020-01-01T00", step) + np.arange(rows)
    numbers = np.arange(rows, dtype=float)
    texts = [str(moment).replace("T", " ") + (":00" if step == "h" else "") for moment in when]
    return pl.DataFrame({"when": texts, "other": 1000 + numbers % 7, "value": numbers, **more})


@settings(max_examples=40, deadline=None)
@given(st.integers(60, 300), st.integers(1, 8), st.integers(1, 12), st.floats(0.05, 0.3), st.floats(0.05, 0.3))
def test_no_window_knows_of_the_time_that_a_later_split_asks_for(rows, horizon, window, valid, test):
    try:
        task = tuneful.prepare(table(rows), target="value", horizon=horizon, window=window, valid=valid, test=test)
    except DataError:  # too short for these wishes
        reject()
    splits = {"train": task.train, "valid": task.valid, "test": task.test.open("a test")}
    number = task.schema["columns"].index("value")
    begun = -1.0
    for split in splits.values():
        seen, asked = split.x[:, number], split.y
        np.testing.assert_array_equal(seen, seen[:, -1:] + np.arange(1 - window, 1))  # one stretch, in the order of time
        np.testing.assert_array_equal(asked, seen[:, -1:] + np.arange(1, horizon + 1))  # and what follows it at once
        assert asked.min() > begun  # nothing that an earlier split asked for
        begun = asked.max()
    assert splits["train"].x[:, number].max() < splits["valid"].y.min()
    assert splits["valid"].x[:, number].max() < splits["test"].y.min()
    first = int(splits["valid"].y.min())
    column = np.arange(rows, dtype=float)[:first]
    assert task.normalize["mean"][number] == pytest.approx(column.mean())
    assert task.target["std"] == [pytest.approx(column.std())] * horizon


def test_windows_share_the_memory_of_the_series():
    task = tuneful.prepare(table(2000), target="value", horizon=24, window=200)
    assert np.shares_memory(task.train.x[0], task.train.x[1])
    assert not np.shares_memory(task.train.y[0], task.train.y[1])


def test_the_calendar_is_that_of_what_is_forecast():
    task = tuneful.prepare(table(24 * 30), target="value", horizon=6, window=24)
    assert task.schema["cycles"] == ["day", "week"]
    row = int(task.train.x[0, 1, -1])
    hour = (row + 6) % 24
    sine, cosine = task.train.x[0, 2:4, -1]
    assert (sine, cosine) == (pytest.approx(np.sin(2 * np.pi * hour / 24), abs=1e-5), pytest.approx(np.cos(2 * np.pi * hour / 24), abs=1e-5))  # fmt: skip


def zero(task: tuneful.Task) -> Network:
    body = make(MLP(width=8, depth=1), form(task))
    for weight in body.parameters():
        nn.init.zeros_(weight)
    front, back = ends(task)
    return Network(front, goal(task).around(task, body), back)


def test_a_body_that_gives_zero_forecasts_the_last_value():
    task = tuneful.prepare(table(300), target="value,other", horizon=3, window=12)
    said = judge.predict(zero(task), task.valid.x, kind=task.kind)
    last, *_ = opponents(task, task.valid.x, 10.0)
    assert last.predictions is not None
    np.testing.assert_allclose(said, last.predictions, atol=1e-3)
    assert task.target["columns"][:3] == ["value +1", "other +1", "value +2"]
    np.testing.assert_array_equal(last.predictions[:, 0], task.valid.x[:, 1, -1])


def test_the_exported_graph_holds_the_anchor():
    task = tuneful.prepare(table(300), target="value", horizon=3, window=12)
    torch.manual_seed(0)
    front, back = ends(task)
    network = Network(front, goal(task).around(task, make(MLP(width=8, depth=1), form(task))), back)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = open_session(export(network, task))
    told = session.run(None, {"x": fed(task.valid.x[:5])})[0]
    np.testing.assert_allclose(told, judge.predict(network, task.valid.x[:5], kind=task.kind), rtol=1e-4)


def test_opponents_look_at_the_right_moments():
    frame = table(24 * 40).with_columns(value=pl.Series(np.tile(np.arange(24.0), 40)))
    task = tuneful.prepare(frame, target="value", horizon=30, window=48)
    by_name = {one.name: one.predictions for one in opponents(task, task.valid.x, 30.0)}
    np.testing.assert_array_equal(by_name["one season before"], task.valid.y)  # it repeats each day
    np.testing.assert_allclose(by_name["ridge on the window"], task.valid.y, atol=0.5)
    hurried = opponents(task, task.valid.x, 0.0)[-1]
    assert hurried.predictions is None
    assert hurried.failed.startswith("skipped")


def test_gaps_and_repetitions_are_told_and_never_asked_for():
    frame = table(400)
    frame = pl.concat([frame[:150], frame[155:], frame[30:32]]).with_columns(
        value=pl.when(pl.col("value") == 60).then(None).otherwise(pl.col("value"))
    )
    task = tuneful.prepare(frame, target="value", horizon=4, window=10)
    told = {finding.what.partition(" ")[0]: finding.count for finding in task.findings if finding.severity == "warning"}
    assert told["moments"] == 5
    assert told["values"] == 1
    assert told["rows"] == 2
    gone = {60, *range(150, 155)}
    for split in (task.train, task.valid, task.test.open("a test")):
        assert not gone & set(split.y.ravel().astype(int).tolist())
        assert not gone & set(split.x[:, 1, -1].astype(int).tolist())
        np.testing.assert_allclose(np.diff(split.x[:, 1], axis=1), 1, atol=1e-4)  # what was missing lies on its line


def test_splits_by_moments_and_by_files(tmp_path):
    task = tuneful.prepare(
        table(400), target="value", horizon=4, window=10, valid_from="2020-01-10", test_from="2020-01-13 12:00"
    )
    assert task.valid.y.min() == 24 * 9
    assert task.test.open("a test").y.min() == 24 * 12 + 12
    table(400)[:300].write_csv(tmp_path / "train.csv")
    table(400)[300:].write_csv(tmp_path / "test.csv")
    apart = tuneful.prepare(tmp_path, target="value", horizon=4, window=10)
    assert apart.test.open("a test").y.min() == 300


def test_what_is_left_open_is_chosen_with_a_reason():
    task = tuneful.prepare(
        table(24 * 60, text=["a"] * (24 * 60), flat=[1.0] * (24 * 60)), target="value", kind="forecasting"
    )
    told = " ".join(finding.what for finding in task.findings)
    assert "horizon is 24, one season" in told
    assert "window is" in told
    assert "columns hold no numbers" in told
    assert "constant in train" in told
    assert task.schema["columns"] == ["other", "value"]
    assert (
        tuneful.prepare(table(400), target="value", horizon=2).fingerprint
        != tuneful.prepare(table(400), horizon=3).fingerprint
    )


def test_order_serves_where_there_are_no_dates():
    frame = table(120).with_columns(when=pl.Series([f"{1 + n // 12}-{1 + n % 12:02}" for n in range(120)]))
    with pytest.raises(DataError, match=r'"when" holds \'1-01\' in row 1, which is no time') as refused:
        tuneful.prepare(frame, target="value", horizon=3)
    assert "time=order" in str(refused.value.hint)
    task = tuneful.prepare(frame, target="value", horizon=3, time="order")
    assert task.schema["cycles"] == []
    assert opponents(task, task.valid.x, 9.0)[1].failed.startswith("skipped: no season")


@pytest.mark.parametrize(
    ("frame", "told", "message"),
    [
        (table(200).with_columns(when=pl.Series(["2020-01-01"] * 200)), {}, "holds 1 different moments"),
        (table(200)[[0, 1, 2, 199]], {}, "moments are missing between"),
        (table(20), {"horizon": 10}, "train has 12 rows; a window of"),
        (table(200), {"target": "when"}, "the target must be one of"),
        (table(200), {"target": "valu"}, "the target must be one of"),
        (table(200, word=["a"] * 200), {"target": "word"}, "does not hold numbers"),
        (table(200, flat=[2.0] * 200), {"target": "flat"}, "there is nothing to learn"),
        (table(200).select("when"), {"target": None}, "no column of numbers"),
        (table(200), {"test_from": "2035-01-01"}, "each with a part"),
    ],
)
def test_what_cannot_be_forecast_is_said_in_a_sentence(frame, told, message):
    told = {"target": "value", "horizon": 4, "window": 8} | told
    with pytest.raises(DataError, match=message):
        tuneful.prepare(frame, **told)


def test_uneven_times_are_refused():
    frame = table(200, "D")
    when = frame["when"].to_list()
    when[50] += " 07:13"
    with pytest.raises(DataError, match=r"the commonest step is 1 day, and 1 of 200 moments lie between such steps"):
        tuneful.prepare(frame.with_columns(when=pl.Series(when)), target="value", horizon=4)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"window": 5}, "window is for forecasts"),
        ({"horizon": 0}, r"horizon is 0; it must be a whole number >= 1"),
        ({"horizon": 3, "kind": "regression"}, "horizon is 3, which makes a forecast; kind is regression"),
        ({"horizon": 3, "keep": ("other",)}, "keep does not serve"),
        ({"horizon": 3, "valid": 0.1, "valid_from": "2020-01-03"}, "both say where valid begins"),
        ({"horizon": 3, "time": "whn"}, "time is 'whn', which is no column"),
        ({"horizon": 3, "test_from": "soon"}, "test_from is 'soon'; it must be a time"),
        ({"horizon": 3, "metric": "accuracy", "kind": "forecasting"}, "does not serve"),
    ],
)
def test_wrong_options_are_told(told, message):
    with pytest.raises(RecipeError, match=message):
        tuneful.prepare(table(200), target="value", **told)


def test_serving_fills_gaps_as_training_did_and_refuses_what_it_cannot_fill():
    task = tuneful.prepare(table(300), target="value", horizon=3, window=12)
    past = table(40)
    x, times = windows.newest(task.schema, {name: past[name].to_list() for name in past.columns})
    np.testing.assert_array_equal(x[0, 1], np.arange(28, 40))
    assert [str(moment) for moment in times] == [f"2020-01-02T{hour}:00:00" for hour in (16, 17, 18)]
    same, _ = windows.newest(
        task.schema, {name: past[[*range(30), *range(31, 40)]][name].to_list() for name in past.columns}
    )
    np.testing.assert_array_equal(same[0, 1], x[0, 1])
    with pytest.raises(DataError, match="the past has 5 moments; this model looks at the last 12"):
        windows.newest(task.schema, {name: past[:5][name].to_list() for name in past.columns})
    with pytest.raises(DataError, match="the last row lacks a value"):
        windows.newest(task.schema, {name: [*past[name].to_list()[:-1], past[name][-1] if name != "value" else None] for name in past.columns})  # fmt: skip
    with pytest.raises(DataError, match='column "other" is missing'):
        windows.newest(task.schema, {"when": [], "value": []})


def test_intervals_of_neighbours_that_are_alike_are_wider():
    dice = np.random.default_rng(0)
    level = np.repeat(dice.normal(size=100), 20)  # each error is met twenty times
    y, p = np.zeros((2000, 3), np.float32), np.tile(level[:, None], 3)
    alone, together = (judge.measure("mse", p, y, block=block) for block in (1, 40))
    assert alone.value == together.value
    assert together.high - together.low > 2.5 * (alone.high - alone.low)
    assert "blocks of 40 neighbours, since windows overlap" in together.how
    quick = judge.value("mse", p, y, block=40)
    assert (quick.high - quick.low) == pytest.approx(together.high - together.low, rel=0.35)
    honest = judge.compare("mse", p, 1.1 * p, y, block=40)
    assert honest.difference.high - honest.difference.low > 2.5 * np.ptp(
        [getattr(judge.compare("mse", p, 1.1 * p, y).difference, end) for end in ("low", "high")]
    )


def real(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not in {DATA}; set TUNEFUL_DATA to the folder that holds it")
    return DATA / name


def test_opponents_on_the_temperatures_of_a_transformer_are_those_measured_elsewhere():
    frame = pl.read_csv(real("etth1/ETTh1.csv.gz")).head(14_400)  # 12, 4 and 4 months
    task = tuneful.prepare(frame, target="OT", horizon=24, valid=0.2, test=0.2)
    split = task.test.open("a test")
    found = {
        one.name: measured_of(task, one.predictions, split.y)["mse_scaled"].value
        for one in opponents(task, split.x, 0.0)
        if one.predictions is not None
    }
    assert found == {"last value": pytest.approx(0.0343, abs=5e-5), "one season before": pytest.approx(0.0458, abs=5e-5)}


@pytest.mark.parametrize(
    ("name", "step", "horizon"),
    [
        ("airline-passengers", "month", 12), ("monthly-sunspots", "month", 12), ("daily-min-temperatures", "second", 7),
        ("daily-max-temperatures", "second", 7), ("daily-total-female-births", "second", 7),
    ],
)  # fmt: skip
def test_classic_series_are_read(name, step, horizon):
    task = tuneful.prepare(real(f"daily_series/{name}.csv"), kind="forecasting")
    assert (task.schema["step"]["unit"], task.schema["horizon"]) == (step, horizon)


def test_months_without_a_year_are_no_times():
    with pytest.raises(DataError, match="which is no time"):
        tuneful.prepare(real("daily_series/shampoo.csv"), kind="forecasting")
