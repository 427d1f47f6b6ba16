"""Tables become tasks: what columns mean, what is left out, how cells become numbers; training and serving agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tuneful.core.errors import DataError
from tuneful.pipeline.prepare import prepare
from tuneful.runtime.preprocess import apply, read_rows

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[3] / "shared" / "data")


def frame(n=200, seed=0):
    dice = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "size": dice.normal(50, 9, n),
            "colour": dice.choice(["red", "green", "blue"], n),
            "when": [f"20{10 + i % 9}-0{1 + i % 8}-1{i % 5} {i % 24:02}:30:00" for i in range(n)],
            "target": dice.choice(["no", "yes"], n, p=[0.7, 0.3]),
        }
    )


def csv(path, text):
    path.write_text(text)
    return path


def what(task):
    return "\n".join(f.what for f in task.findings)


def column(task, name):
    return next(c for c in task.schema["columns"] if c["name"] == name)


def test_numbers_are_standardized_by_train_alone_as_scikit_learn_does():
    train, valid, test = frame(seed=1), frame(seed=2), frame(seed=3)
    task = prepare((train, valid, test), scale="deviation")
    at = task.schema["features"].index("size")
    scaler = StandardScaler().fit(train.select("size").to_numpy())
    for split, given in ((task.train, train), (task.valid, valid), (task.test.open("test"), test)):
        np.testing.assert_allclose(split.x[:, at], scaler.transform(given.select("size").to_numpy())[:, 0], atol=1e-5)


def test_categories_are_one_hot_as_scikit_learn_does():
    task = prepare((frame(seed=1), frame(seed=2), frame(seed=3)))
    at = [task.schema["features"].index(f"colour={c}") for c in ("blue", "green", "red")]
    wanted = (
        OneHotEncoder().fit(frame(seed=1).select("colour").to_numpy()).transform(frame(seed=2).select("colour").to_numpy())
    )
    np.testing.assert_array_equal(task.valid.x[:, at], wanted.toarray())


def test_dates_become_the_calendar_that_python_knows():
    task = prepare((frame(seed=1), frame(seed=2), frame(seed=3)))
    from datetime import datetime

    moments = [datetime.fromisoformat(text) for text in frame(seed=1)["when"]]
    wanted = {"year": [m.year for m in moments], "month": [m.month for m in moments], "day": [m.day for m in moments],
              "weekday": [m.weekday() for m in moments], "hour": [m.hour for m in moments]}  # fmt: skip
    for name, values in wanted.items():
        at = task.schema["features"].index(f"when.{name}")
        scaled = (np.array(values) - np.mean(values)) / np.std(values)
        np.testing.assert_allclose(task.train.x[:, at], scaled, atol=1e-5)


@pytest.mark.parametrize(
    ("form", "order"), [("%Y/%m/%d", "ymd"), ("%d.%m.%Y", "dmy"), ("%m/%d/%Y", "mdy"), ("%Y-%m-%dT%H:%MZ", "ymd")]
)
def test_common_forms_of_dates_are_told_apart(form, order, tmp_path):
    from datetime import datetime, timedelta

    days = [(datetime(2020, 1, 5, 7) + timedelta(hours=37 * i)).strftime(form) for i in range(60)]
    task = prepare(csv(tmp_path / "a.csv", "d,y\n" + "".join(f"{d},{i % 2}\n" for i, d in enumerate(days))))
    assert column(task, "d")["order"] == order


def test_serving_gives_the_very_x_of_training(tmp_path):
    text = "n;w;d;c;y\n" + "".join(
        f"{'' if i % 9 == 0 else i * 3 % 101};{i % 7},{i % 3};{1 + i % 28:02}.0{1 + i % 9}.2021;{'ab?'[i % 3]};{i % 2}\n"
        for i in range(90)
    )
    task = prepare(csv(tmp_path / "a.csv", text), valid=0.2, test=0.2)
    schema = json.loads(json.dumps(dict(task.schema)))  # what an artifact keeps
    served = apply(schema, read_rows(tmp_path / "a.csv"))
    known = {row.tobytes() for row in served}
    for split in (task.train, task.valid, task.test.open("test")):
        assert {row.tobytes() for row in split.x} <= known
    assert len(task.train) + len(task.valid) + len(task.test) == len(served)
    assert column(task, "w")["decimal"] == ","
    assert {"n=(missing)", "c=(missing)"} < set(schema["features"])


def test_numbers_and_words_from_python_are_served_like_text_from_files():
    train = pl.DataFrame({"a": [float(i % 13) for i in range(60)], "flag": [i % 2 == 0 for i in range(60)],
                          "code": [str(i % 4) + "x" for i in range(60)], "y": [i % 3 for i in range(60)]})  # fmt: skip
    schema = prepare(train).schema
    one = apply(schema, [{"a": 3, "flag": True, "code": "1x"}])
    for row in ({"a": "3", "flag": "true", "code": " 1x "}, {"a": np.float32(3), "flag": np.bool_(True), "code": "1x"}):
        np.testing.assert_array_equal(apply(schema, [row]), one)


def test_a_missing_number_takes_the_median_and_says_so():
    values = [None if i % 10 == 0 else float(i) for i in range(100)]
    train = pl.DataFrame({"a": values, "b": [float(i % 11) for i in range(100)], "y": [i % 2 for i in range(100)]})
    task = prepare((train, train, train))
    here = np.array([v for v in values if v is not None])
    a, said = (task.schema["features"].index(name) for name in ("a", "a=(missing)"))
    entry = column(task, "a")
    assert entry["fill"] == np.median(here)
    np.testing.assert_array_equal(task.train.x[:, said], [v is None for v in values])
    np.testing.assert_allclose(task.train.x[0, a], (np.median(here) - entry["mean"]) / entry["std"], rtol=1e-5)


def test_a_level_never_seen_is_other_or_nothing():
    few, many = [f"l{i % 5}" for i in range(300)], [f"l{i % 80}" for i in range(300)]
    y = [i % 2 for i in range(300)]
    schema = prepare(pl.DataFrame({"few": few, "many": many, "y": y})).schema
    row = dict(zip(schema["features"], apply(schema, [{"few": "new", "many": "new"}])[0]))
    assert [name for name, value in row.items() if value] == ["many=(other)"]


def test_numbers_as_text_with_a_word_for_missing(tmp_path):
    text = "a,b,y\n" + "".join(f"{'gone' if i % 20 == 5 else i * 0.5},{i % 9},{i % 2}\n" for i in range(100))
    task = prepare(csv(tmp_path / "a.csv", text), missing="gone")
    assert column(task, "a")["type"] == "number"
    assert column(task, "a")["indicator"]
    told = prepare(tmp_path / "a.csv")  # also found without being told, and said
    assert column(told, "a")["words"] == ["gone"]
    assert 'column "a" is a number, and ' in what(told)


def test_identifiers_row_numbers_free_text_constants_and_copies_are_left_out(tmp_path):
    text = "id,key,say,one,a,b,same,y\n" + "".join(
        f"{i + 1},k{i},these are words {i},7,{i % 13},{'uvw'[i % 3]},{i % 13},{i % 2}\n" for i in range(100)
    )
    task = prepare(csv(tmp_path / "a.csv", text))
    assert task.schema["features"] == ["a", "b=u", "b=v", "b=w"]
    for sentence in ('"id" numbers the rows', '"key" is an identifier', '"say" is free text', '"one" is always 7',
                     '"same" says the same as "a"'):  # fmt: skip
        assert sentence in what(task)
    gone = [one.what.split('"')[1] for one in task.findings if one.what.endswith("is left out")]
    assert len(gone) == len(set(gone)), "a column is told once why it is left out"


def test_a_column_that_tells_the_target_is_left_out_unless_kept():
    dice = np.random.default_rng(0)
    y = dice.choice(["no", "yes"], 200)
    given = pl.DataFrame({"a": dice.random(200), "again": np.where(y == "yes", "Y", "N"), "target": y})
    task = prepare(given)
    assert task.schema["features"] == ["a"]
    assert 'column "again" gives the target away in every row of train (a leak) and is left out' in what(task)
    assert "again=Y" in prepare(given, keep=["again"]).schema["features"]


def test_a_straight_line_of_a_number_is_a_leak():
    dice = np.random.default_rng(0)
    price = dice.normal(100, 20, 200)
    given = pl.DataFrame({"a": dice.random(200), "cents": price * 100 + 3, "price": price})
    assert prepare(given).schema["features"] == ["a"]


def test_infinite_numbers_count_as_missing_and_are_told():
    given = pl.DataFrame({"a": [float("inf") if i == 3 else i * 0.3 for i in range(50)], "b": [float(i % 7) for i in range(50)],
                          "y": [i % 2 for i in range(50)]})  # fmt: skip
    task = prepare((given, given, given))
    assert 'column "a" has infinite values, which count as missing' in what(task)
    assert np.isfinite(task.train.x).all()


def test_classes_and_numbers_are_told_apart_and_may_be_overridden(tmp_path):
    def kind(values, **options):
        rows = "".join(f"{i % 17},{v}\n" for i, v in enumerate(values))
        return prepare(csv(tmp_path / "a.csv", "a,y\n" + rows), **options)

    assert kind([i % 2 for i in range(60)]).kind == "binary"
    assert kind([i % 4 for i in range(60)]).kind == "multiclass"
    assert kind([i * 0.37 for i in range(60)]).kind == "regression"
    assert kind([i % 4 for i in range(60)], kind="regression").kind == "regression"
    assert kind(["2.0", "10.0", "1.0"] * 20).labels == ("1", "2", "10")
    assert kind([f"{i % 3}.5" for i in range(60)], kind="multiclass").labels == ("0.5", "1.5", "2.5")


def test_a_target_is_found_by_its_name_before_its_place():
    given = frame().select("target", "size", "colour")
    task = prepare(given)
    assert task.target["name"] == "target"
    assert 'the target is "target"' in what(task)


def test_unlike_spellings_of_a_class_in_test_are_one_class():
    train = frame()
    test = train.with_columns(pl.col("target") + ".")
    task = prepare({"train": train, "test": test})
    assert task.labels == ("no", "yes")
    assert "classes of test are written otherwise than in train" in what(task)


def test_rows_without_a_target_are_left_out_and_told():
    given = frame().with_columns(target=pl.when(pl.col("size") > 60).then(None).otherwise(pl.col("target")))
    task = prepare(given)
    lost = given["target"].null_count()
    assert len(task.train) + len(task.valid) + len(task.test) == 200 - lost
    assert any(f.count == lost and "without a value of the target" in f.what for f in task.findings)


def test_what_serving_refuses():
    schema = prepare(frame()).schema
    good = {"size": [1.0], "colour": ["red"], "when": ["2011-01-01"]}
    for change, sentence in (
        ({"size": ["big"]}, "column \"size\" holds 'big' in row 1; it must be a number"),
        ({"when": ["soon"]}, "column \"when\" holds 'soon' in row 1; it must be a date like YYYY-MM-DD"),
        ({"when": ["2011-02-30"]}, "must be a date"),
        ({"size": [1.0, 2.0]}, 'column "colour" has 1 values and column "size" has 2'),
    ):
        with pytest.raises(DataError, match=sentence):
            apply(schema, good | change)
    with pytest.raises(DataError, match='column "colour" is missing'):
        apply(schema, {"size": [1.0], "when": ["2011-01-01"]})
    with pytest.raises(DataError, match="a table is wanted, and int was given"):
        apply(schema, 7)


def test_serving_needs_numpy_alone():
    code = """
import sys
for name in ("torch", "pydantic", "polars", "pandas", "sklearn", "PIL", "optuna"):
    sys.modules[name] = None
from tuneful.runtime.preprocess import apply
column = {"name": "a", "type": "number", "fill": 0.0, "mean": 1.0, "std": 2.0, "indicator": True}
out = apply({"kind": "table", "columns": [column], "features": ["a", "a=(missing)"]}, {"a": ["5", "", 3]})
assert out.tolist() == [[2, 0], [-0.5, 1], [1, 0]], out
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "kind", "target", "rows"),
    [("adult", "binary", "income", 48842), ("california_housing", "regression", "median_house_value", 20640),
     ("titanic", "binary", "survived", 891), ("penguins", "multiclass", "species", 344)],
)  # fmt: skip
def test_real_tables_need_nothing_but_their_path(name, kind, target, rows):
    if not (DATA / name).is_dir():
        pytest.skip(f"{name} is not in {DATA}; set TUNEFUL_DATA to the folder that holds it")
    task = prepare(DATA / name)
    assert (task.kind, task.target["name"], task.name) == (kind, target, name)
    assert len(task.train) + len(task.valid) + len(task.test) == rows
    assert np.isfinite(task.train.x).all()
    if name == "titanic":
        assert not any(feature.startswith("alive") for feature in task.schema["features"])
    if name == "adult":
        assert len(task.test) == 16281
