"""A table of one column: a series that is forecast, or text of which the next letter is told; anything else is one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from tuneful.core.errors import DataError
from tuneful.pipeline.prepare import prepare


def test_a_column_of_numbers_is_a_series(tmp_path):
    values = 10 + np.sin(np.arange(400) / 5) + np.arange(400) / 100
    (tmp_path / "sold.csv").write_text("sold\n" + "".join(f"{value:.4f}\n" for value in values))
    task = prepare(tmp_path / "sold.csv", horizon=5)
    assert task.kind == "forecasting"
    assert any("evenly spaced, in the order of the table, which has one column alone" in f.what for f in task.findings)
    same = prepare(tmp_path / "sold.csv", horizon=5, time="order")
    np.testing.assert_array_equal(task.train.y, same.train.y)
    np.testing.assert_allclose(task.train.y[0, :5], values[task.shape[1] :][:5], atol=1e-4)


def test_a_column_of_text_is_running_text(tmp_path):
    rows = [f"the {word} sat on number {n}" for n in range(80) for word in ("cat", "dog", "hen")]
    (tmp_path / "said.csv").write_text("line\n" + "\n".join(rows) + "\n")
    (tmp_path / "said.txt").write_text("\n".join(rows))
    task, same = prepare(tmp_path / "said.csv", kind="language"), prepare(tmp_path / "said.txt")
    assert task.kind == "language"
    np.testing.assert_array_equal(task.train.x, same.train.x)


def test_other_data_is_no_running_text(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n" + "x,y\n" * 30)
    with pytest.raises(DataError, match=r"kind is language, .* this data is a table"):
        prepare(tmp_path / "a.csv", kind="language")


@pytest.mark.parametrize("kind", [None, "regression", "multiclass"])
def test_anything_else_is_one_sentence(kind, tmp_path):
    (tmp_path / "a.csv").write_text("alone\n" + "1\n2\n" * 30)
    with pytest.raises(DataError, match=r'has one column only \("alone"\); a table needs a target') as caught:
        prepare(tmp_path / "a.csv", kind=kind)
    assert "horizon=STEPS forecasts numbers" in caught.value.hint
