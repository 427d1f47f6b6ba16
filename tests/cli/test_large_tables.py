"""predict and evaluate on tables larger than memory: in pieces, with the answers of the whole."""

from __future__ import annotations

import json

import polars as pl
import pytest

from tuneful.cli import inputs
from tuneful.runtime import preprocess
from tuneful.techniques.sources import Stored, raw, read


@pytest.fixture
def in_pieces(monkeypatch):
    """Seven rows are looked at together."""
    pieces = preprocess.row_pieces
    monkeypatch.setattr(preprocess, "row_pieces", lambda path: pieces(path, 7))


@pytest.fixture
def parquet(houses, tmp_path):
    path = tmp_path / "houses.parquet"
    pl.read_csv(houses.table).write_parquet(path, row_group_size=20)
    return path


def test_csv_is_predicted_in_pieces(houses, tuneful, in_pieces, monkeypatch, tmp_path):
    said = tuneful("predict", "houses", houses.table)
    assert said.out.count("\n") == 151
    assert said.out.splitlines()[-1].startswith("150,")
    told = json.loads(tuneful("predict", "houses", houses.table, "--json").out)
    assert [row["row"] for row in told] == [str(k) for k in range(1, 151)]
    monkeypatch.undo()
    assert tuneful("predict", "houses", houses.table).out == said.out
    bad = tmp_path / "bad.csv"
    bad.write_text(houses.table.read_text().rstrip("\n") + "\n1,Ulm\n")
    said = tuneful("predict", "houses", bad, "-o", tmp_path / "out.csv")
    assert (said.code, said.err.splitlines()[0]) == (2, f"error: {bad}: line 152 has 2 fields; the header has 3")
    assert not (tmp_path / "out.csv").exists()


def test_nothing_is_on_standard_output_before_an_error_of_the_first_rows(houses, tuneful, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("rooms,street\n1,Main\n")
    for more in ([], ["--json"]):
        said = tuneful("predict", "houses", bad, *more)
        assert (said.code, said.out) == (2, "")
        assert "town" in said.err


def test_columns_on_disk_are_predicted_and_measured_as_in_memory(houses, tuneful, parquet, monkeypatch):
    whole, measured = tuneful("predict", "houses", parquet), tuneful("evaluate", "houses", parquet, "--json")
    monkeypatch.setenv(raw.MEMORY, "20kB")
    part = read(parquet).parts["train"]
    assert isinstance(part, Stored)
    assert tuneful("predict", "houses", parquet).out == whole.out == tuneful("predict", "houses", houses.table).out
    assert (
        json.loads(tuneful("evaluate", "houses", parquet, "--json").out)["measures"] == json.loads(measured.out)["measures"]
    )


def test_pieces_hold_no_more_than_they_should(houses, tuneful, in_pieces):
    from tuneful.runtime.load import load

    sizes = [len(piece["rooms"]) for piece, _ in inputs.pieces(str(houses.table), load(houses.folder / "artifact"))]
    assert sizes == [*[7] * 21, 3]
