"""Texts that do not fit: the same task and batches as from memory, open sets too; and memory stays far below the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tuneful.core.errors import DataError
from tuneful.pipeline.batches import Batches
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.textfiles import Column, TokenReader
from tuneful.runtime.text import Tokenizer, encode
from tuneful.techniques.sources import delimited, json_lines, raw, stored

N = 700
WORDS = {"good": ("fine", "great", "lovely", "warm"), "bad": ("dull", "poor", "sad", "cold")}


def table(n: int = N, seed: int = 0, outsiders: bool = False) -> pl.DataFrame:
    """Texts of two moods, some twice, some empty, some without a label; beside them a number of the row."""
    dice = np.random.default_rng(seed)
    labels = [("good", "bad")[i] for i in dice.integers(0, 2, n)]
    said = [
        " ".join([*dice.choice(WORDS[y], 3), f'thing "{k % 90}", é', *["really"] * (k % 4)]) for k, y in enumerate(labels)
    ]
    said[5], said[17], said[40] = "", said[16], said[16].upper() + " "
    if outsiders:
        labels = ["oos" if k % 9 == 4 else y for k, y in enumerate(labels)]
    labels[3::151] = [""] * len(labels[3::151])
    return pl.DataFrame({"id": [f"r{k}" for k in range(n)], "said": said, "mood": labels})


WAYS = {
    "csv": lambda frame, at: frame.write_csv(at / "t.csv"),
    "tsv": lambda frame, at: frame.write_csv(at / "t.tsv", separator="\t"),
    "jsonl": lambda frame, at: frame.write_ndjson(at / "t.jsonl"),
    "parquet": lambda frame, at: frame.write_parquet(at / "t.parquet", row_group_size=100),
    "several": lambda frame, at: [frame[i : i + 300].write_parquet(at / f"part-{i:04}.parquet") for i in range(0, N, 300)],
}


@pytest.fixture
def little(monkeypatch):
    """From now on not more than what is kept of each row fits; the column of text does not."""

    def from_now_on() -> None:
        monkeypatch.setenv(raw.MEMORY, f"{125 * N}")
        monkeypatch.setattr(stored, "LEAST_ROWS", 90)
        monkeypatch.setattr(delimited, "_LEAST", 3000)
        monkeypatch.setattr(delimited, "MOST", 3000)
        monkeypatch.setattr(json_lines, "MOST", 3000)

    return from_now_on


@pytest.mark.parametrize("outsiders", [False, True], ids=["classes", "open set"])
@pytest.mark.parametrize("way", WAYS)
def test_both_are_one_task_with_the_same_batches(way, outsiders, tmp_path, little):
    WAYS[way](table(outsiders=outsiders), tmp_path)
    here = prepare(tmp_path, target="mood")
    little()
    there = prepare(tmp_path, target="mood")
    assert isinstance(here.train.x, np.ndarray)
    assert isinstance(there.train.x, Lazy)
    assert here.kind == ("openset" if outsiders else "binary")
    assert here.schema["column"] == there.schema["column"] == "said"
    assert here.schema == there.schema
    assert here.fingerprint == there.fingerprint
    rest = [{str(f) for f in task.findings if "stay on disk" not in f.what} for task in (here, there)]
    assert rest[0] == rest[1]
    assert any("the texts stay on disk" in f.what and "$TUNEFUL_MEMORY" in f.what for f in there.findings)
    told = {"batch_size": 32, "epochs": 2, "threads": 1, **({"regularizers": "exposure"} if outsiders else {})}
    a, b = (Batches(t, resolve(from_mapping(told, t)[0], t), torch.device("cpu")) for t in (here, there))
    for step in (0, 7, 3, a.steps - 1):
        assert all(torch.equal(one, two) for one, two in zip(a.at(step), b.at(step), strict=True)), step


@pytest.mark.parametrize("told", [{"tokens": "char"}, {"tokens": "bpe", "vocabulary": 200}, {"limit": 100}, {"length": 4},
                                  {"outside": "none", "kind": "multiclass"}, {"outside": "bad"}])  # fmt: skip
def test_options_mean_the_same(told, tmp_path, little):
    table(outsiders=True).write_parquet(tmp_path / "t.parquet")
    here = prepare(tmp_path / "t.parquet", target="mood", **told)
    little()
    there = prepare(tmp_path / "t.parquet", target="mood", **told)
    assert isinstance(there.train.x, Lazy)
    assert here.fingerprint == there.fingerprint


def test_a_text_beside_useful_columns_is_left_out_and_told(tmp_path, little):
    """The table stays a table, as in memory; a column of text that could not even be looked at in memory is no input then."""
    frame = table().with_columns(
        pl.col("mood").replace({"good": "1.5", "bad": "0.5", "": "1"}).cast(pl.Float64).alias("size") * 2
    )
    frame = frame.with_columns(pl.col("size") + pl.Series(np.random.default_rng(0).normal(size=N)))
    frame.write_parquet(tmp_path / "t.parquet")
    little()
    task = prepare(tmp_path / "t.parquet", target="mood")
    assert task.schema["kind"] == "table"
    assert any(
        'column "said" is free text, which is not learned from in a table (size stand' in f.what for f in task.findings
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 500 is no JSON"),
        ("[1, 2]", "line 500 is no object"),
        ('{"said": {"a": 1}}', '"said" of entry 500 is dict'),
    ],
)
def test_faults_far_down_in_json_lines_name_their_line(line, said, tmp_path, little):
    table().write_ndjson(tmp_path / "t.jsonl")
    lines = (tmp_path / "t.jsonl").read_text().split("\n")
    (tmp_path / "t.jsonl").write_text("\n".join([*lines[:499], line, *lines[499:]]))
    little()
    with pytest.raises(DataError, match=said):
        prepare(tmp_path / "t.jsonl", target="mood")


def test_texts_of_any_rows_are_cut_out_as_they_were_encoded():
    dice = np.random.default_rng(0)
    said = ["".join(dice.choice(list("abc"), dice.integers(0, 9))) for _ in range(50)]
    tokenizer = Tokenizer({"kind": "char", "items": ["a", "b"]})
    ids = [tokenizer.ids(text, 5) for text in said]
    offsets = np.cumsum([0, *map(len, ids)])
    reader = TokenReader(np.array([k for one in ids for k in one], np.uint16), offsets, 5)
    rows = dice.permutation(50)
    np.testing.assert_array_equal(reader.read(rows), encode(tokenizer, said, 5)[rows])
    assert reader.read(rows[:0]).shape == (0, 5)


def test_a_column_is_gone_through_like_a_list(tmp_path, little):
    frame = table()
    frame.write_parquet(tmp_path / "t.parquet")
    little()
    part = raw_of(tmp_path / "t.parquet")
    said = [text or "" for text in frame["said"].to_list()]
    assert list(Column(part, "said")) == said
    rows = np.arange(2, N, 3)
    some = Column(part, "said", rows)
    assert list(some) == said[2::3]
    assert some[:7] == said[2::3][:7]
    assert some[5] == said[17]
    assert len(some) == len(rows)


def raw_of(path: Path):
    from tuneful.techniques.sources import read

    part = read(path).parts["train"]
    assert isinstance(part, raw.Stored)
    return part


GROWN = """
def grown(path, steps):
    task = prepare(path, target="mood")
    Run(task, from_mapping(dict(model="bag", width=8, batch_size=64, threads=1), task)[0], device="cpu").timed(steps, 0.0)
    return task

few = pl.DataFrame({"said": [f"the thing {k} of many was {k % 7} as long" for k in range(300)], "mood": ["a", "b"] * 150})
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system does not tell what a process takes of its own"
)
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_memory_stays_far_below_a_file_of_texts(kind, tmp_path, monkeypatch, growth):
    dice = np.random.default_rng(0)
    words = np.array([f"w{k}" for k in range(3000)])
    n, long = 48_000, 500
    said = [" ".join(words[row]) for row in dice.integers(0, 3000, (n, long))]
    frame = pl.DataFrame({"said": said, "mood": np.array(["a", "b"])[dice.integers(0, 2, n)]})
    path = tmp_path / f"t.{kind}"
    frame.write_parquet(path, row_group_size=500, compression="uncompressed") if kind == "parquet" else frame.write_csv(path)
    size = sum(map(len, said)) / 1e6
    assert size > 110
    monkeypatch.setenv(raw.MEMORY, "6MB")
    done = subprocess.run([sys.executable, "-c", growth(GROWN, 20), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    grown, lazy, train = done.stdout.split()
    assert (lazy, train) == ("True", str(round(0.6 * n)))
    assert float(grown) < 0.6 * size, done.stdout  # 50 MB at 68 MB as at 135 MB: what readers take, and no part of the file
