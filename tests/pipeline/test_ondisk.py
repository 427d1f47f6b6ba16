"""Tables that do not fit: the same task, batches and weights as from memory, whatever file they come from."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneful.core.errors import DataError
from tuneful.pipeline.batches import Batches
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.packed import packing
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.train import Run
from tuneful.runtime.preprocess import apply
from tuneful.techniques.sources import delimited, raw, stored

N = 900


def table(n: int = N, seed: int = 0) -> pl.DataFrame:
    """Numbers with gaps, words, words with lines and quotes in them, dates, yes and no; repeated rows; some without a target."""
    dice = np.random.default_rng(seed)
    size = dice.normal(10, 3, n)
    words = np.array(["red", "green", 'a "deep" blue', "two\nlines", ""])[dice.integers(0, 5, n)]
    days = np.datetime64("2021-01-01") + dice.integers(0, 700, n)
    label = np.where(size + dice.normal(0, 1, n) > 10, "high", "low").astype(object)
    label[::97] = ""
    frame = pl.DataFrame(
        {
            "size": [None if i % 11 == 3 else float(v) for i, v in enumerate(size)],
            "count": dice.integers(0, 40, n),
            "colour": words,
            "day": [str(day) for day in days],
            "sure": dice.integers(0, 2, n).astype(bool),
            "copy": size * 0 + dice.integers(0, 3, n),
            "label": label.tolist(),
        }
    )
    return pl.concat([frame, frame.head(20)])


WAYS = {
    "csv": lambda frame, at: frame.write_csv(at / "t.csv"),
    "parquet": lambda frame, at: frame.write_parquet(at / "t.parquet", row_group_size=100),
    "arrow": lambda frame, at: frame.write_ipc(at / "t.arrow", record_batch_size=100),
    "several": lambda frame, at: [frame[i : i + 300].write_parquet(at / f"part-{i:04}.parquet") for i in range(0, 920, 300)],
}


@pytest.fixture
def little(monkeypatch):
    """From now on not more than what is kept of each row fits; CSV is read in small pieces."""

    def from_now_on() -> None:
        monkeypatch.setenv(raw.MEMORY, f"{130 * (N + 20)}")
        monkeypatch.setattr(stored, "LEAST_ROWS", 100)
        monkeypatch.setattr(delimited, "_LEAST", 3000)
        monkeypatch.setattr(delimited, "MOST", 3000)

    return from_now_on


@pytest.fixture(params=WAYS)
def both(request, tmp_path, little):
    """The task in memory, and the same one on disk."""
    WAYS[request.param](table(), tmp_path)
    here = prepare(tmp_path)
    little()
    there = prepare(tmp_path)
    assert isinstance(here.train.x, np.ndarray)
    assert isinstance(there.train.x, Lazy)
    return here, there


def plan(task, **more):
    settings_ = {"model": "mlp", "width": 8, "epochs": 2, "batch_size": 32, "threads": 1, **more}
    return resolve(from_mapping(settings_, task)[0], task)


def test_train_and_valid_are_one_split_on_disk_too(both):
    from tuneful.pipeline.refit import together

    here, there = map(together, both)
    assert len(there.train) == len(both[1].train) + len(both[1].valid)
    np.testing.assert_array_equal(np.asarray(there.train.x[:]), here.train.x)
    np.testing.assert_array_equal(there.train.y, here.train.y)


def test_both_are_one_task_down_to_the_fingerprint(both):
    here, there = both
    assert here.fingerprint == there.fingerprint
    assert here.schema == there.schema
    kept, disk = (next(f.what for f in task.findings if f.what.startswith("the table ")) for task in both)
    assert kept.startswith("the table is kept in memory (")
    assert disk.startswith("the table stays on disk, ")
    assert "($TUNEFUL_MEMORY) may be taken" in disk
    rest = [{str(f) for f in task.findings if not f.what.startswith("the table ")} for task in both]
    assert rest[0] == rest[1]


def test_batches_weights_and_resuming_are_the_same_to_the_last_bit(both, tmp_path):
    here, there = both
    a, b = (Batches(task, plan(task), torch.device("cpu")) for task in both)
    for step in [*range(a.steps), 2, 0, a.steps - 1]:
        assert all(torch.equal(one, two) for one, two in zip(a.at(step), b.at(step), strict=True)), step
    whole = Run(here, plan(here), device="cpu")
    list(whole)
    begun = Run(there, plan(there), device="cpu")
    begun.timed(7, 0.0)
    begun.save(tmp_path / "state")
    later = Run.resume(there, tmp_path / "state", device="cpu")
    list(later)
    one, two = whole.network.state_dict(), later.network.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("told", [{"kind": "regression", "target": "size"}, {"order": "day"}, {"order": "rows"}, {"limit": 200},
                                  {"target": "count,copy", "kind": "regression"}, {"scale": "deviation", "leave_out": "day"}])  # fmt: skip
def test_options_mean_the_same(told, tmp_path, little):
    table().write_parquet(tmp_path / "t.parquet")
    told = {"target": "label", **told}
    here = prepare(tmp_path / "t.parquet", **told)
    little()
    there = prepare(tmp_path / "t.parquet", **told)
    assert isinstance(there.train.x, Lazy)
    assert here.fingerprint == there.fingerprint


def test_official_splits_are_kept_also_where_only_one_of_them_is_large(tmp_path, little):
    for part, rows in (("train", 900), ("test", 40)):
        table(rows, seed=rows).write_parquet(tmp_path / f"{part}.parquet")
    here = prepare(tmp_path)
    little()
    there = prepare(tmp_path)
    assert isinstance(there.train.x, Lazy)
    assert here.fingerprint == there.fingerprint


def test_rows_are_packed_without_loss(tmp_path):
    table().write_csv(tmp_path / "t.csv")
    task = prepare(tmp_path / "t.csv")
    packed = packing(task.schema)
    np.testing.assert_array_equal(packed.unpack(packed.pack(task.train.x)), task.train.x)
    assert packed.size < 4 * task.train.x.shape[1]
    strange = {name: ["nobody wrote this"] for name in ("colour", "sure")}
    row = {**{column["name"]: [""] for column in task.schema["columns"]}, **strange}
    x = apply(task.schema, row)
    np.testing.assert_array_equal(packed.unpack(packed.pack(x)), x)


def test_what_does_not_fit_at_all_is_said(tmp_path, monkeypatch):
    table().write_parquet(tmp_path / "t.parquet")
    monkeypatch.setenv(raw.MEMORY, "50kB")
    with pytest.raises(DataError, match=r"what is kept of each of 920 rows.* needs 0\.1 MB of memory; at most 0\.1 MB"):
        prepare(tmp_path / "t.parquet")


@pytest.mark.parametrize("said", ["much", "-1GB", "0", "1 GiB"])
def test_a_size_that_is_none_is_refused(said, tmp_path, monkeypatch):
    table().write_csv(tmp_path / "t.csv")
    monkeypatch.setenv(raw.MEMORY, said)
    with pytest.raises(DataError, match=r"\$TUNEFUL_MEMORY is .*; it must be a size above 0"):
        prepare(tmp_path / "t.csv")


# Text in pieces

CELLS = st.text(st.sampled_from(['"', ",", "\n", "a", " ", "é"]), max_size=6)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=30), st.integers(1, 60))
def test_pieces_end_where_records_end(tmp_path_factory, rows, size):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("a", "b", "c"), *rows])
    path = tmp_path_factory.mktemp("pieces") / "t.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    pieces = list(delimited.records(path, size))
    assert "".join(piece for piece, _ in pieces) == text.getvalue()
    apart = [row for piece, _ in pieces for row in csv.reader(io.StringIO(piece))]
    assert apart == list(csv.reader(io.StringIO(text.getvalue())))
    assert [line for _, line in pieces] == [1 + sum(p.count("\n") for p, _ in pieces[:k]) for k in range(len(pieces))]


def test_faults_far_down_name_their_line(tmp_path, little):
    little()
    lines = ["a,b,c", *(f"{i},{i % 7},{i % 2}" for i in range(3000))]
    for at, fault, said in (
        (2500, "1,2", "line 2501 has 2 fields; the header has 3"),
        (2800, "1,\xff,2", "line 2801 holds the byte 0xff"),
    ):
        damaged = [*lines[:at], fault, *lines[at:]]
        (tmp_path / "t.csv").write_bytes("\n".join(damaged).encode("latin-1"))
        with pytest.raises(DataError, match=said):
            prepare(tmp_path / "t.csv")


# Files of columns


def test_files_of_one_table_need_the_same_columns_and_types(tmp_path):
    frame = table()
    frame.write_parquet(tmp_path / "a.parquet")
    frame.rename({"size": "length"}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r'b\.parquet and a\.parquet differ in column "length"'):
        prepare(tmp_path)
    frame.with_columns(pl.col("count").cast(pl.Float32)).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r'column "count" is of type Float32 in b\.parquet and of type Int64 in a\.parquet'):
        prepare(tmp_path)


def test_arrow_comes_as_file_and_as_stream(tmp_path):
    frame = table()
    frame.write_ipc(tmp_path / "a.feather")
    frame.write_ipc_stream(tmp_path / "b.arrow")
    frame.write_parquet(tmp_path / "c.parquet")
    found = [prepare(tmp_path / name).fingerprint for name in ("a.feather", "b.arrow", "c.parquet")]
    assert len(set(found)) == 1
    (tmp_path / "old.feather").write_bytes(b"FEA1" + bytes(60))
    with pytest.raises(DataError, match="first version of Feather"):
        prepare(tmp_path / "old.feather")


@pytest.mark.parametrize("name", ["a.feather", "b.arrow", "c.parquet"])
def test_a_file_that_was_cut_short_is_told(name, tmp_path):
    frame = table()
    write = {"a": frame.write_ipc, "b": frame.write_ipc_stream, "c": frame.write_parquet}[name[0]]
    write(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"is not a whole (Arrow|Parquet) file"):
        prepare(tmp_path / name)


def test_shards_that_are_named_after_splits_are_those(tmp_path):
    for part, rows in (("train-00000", 400), ("train-00001", 400), ("test-00000", 100)):
        table(rows, seed=rows + len(part)).write_parquet(tmp_path / f"{part}.parquet")
    task = prepare(tmp_path)
    assert len(task.train) + len(task.valid) > 700
    assert 90 < len(task.test) < 130


# Room on a disk

KILLED = """
import os, signal, polars as pl
from tuneful.techniques.sources.stored import Spill
spill = Spill()
spill.add(pl.DataFrame({"a": [1, 2]}), 0)
print(spill.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_folders_go_with_their_last_user_and_those_of_killed_processes_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "place", lambda: str(tmp_path))
    spill = stored.Spill()
    frame, rows = spill.add(pl.DataFrame({"a": [1, 2]}), 0)
    assert (rows, frame.collect()["a"].to_list()) == (2, [1, 2])
    done = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False)  # fmt: skip
    left = Path(done.stdout.strip())
    assert left.is_dir()
    another = stored.Spill()
    assert not left.exists()
    assert spill.folder.is_dir()
    assert another.folder.is_dir()
    gone = spill.folder
    del spill, frame
    assert not gone.exists()


def test_a_full_disk_is_told(tmp_path, monkeypatch, little):
    table().write_parquet(tmp_path / "t.parquet")
    little()
    monkeypatch.setattr(stored.shutil, "disk_usage", lambda _: stored.shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(DataError, match=r"the encoded table \(.*\) needs .* are free there"):
        prepare(tmp_path / "t.parquet")


# Memory

GROWN = """
def grown(path, steps):
    task = prepare(path)
    run = Run(task, from_mapping(dict(model="mlp", width=8, batch_size=256, threads=1), task)[0], device="cpu")
    run.timed(steps, 0.0)
    predict(run.network, task.valid.x[:2000], kind=task.kind)
    return task

few = pl.DataFrame({"x": np.arange(400) % 7, "z": np.arange(400) % 5 * 1.5, "label": np.arange(400) % 2})
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system does not tell what a process takes of its own"
)
@pytest.mark.parametrize(("kind", "allowed"), [("parquet", 15), ("csv", 15)])
def test_memory_stays_far_below_a_file_that_is_several_times_as_large(kind, allowed, tmp_path, growth):
    dice = np.random.default_rng(0)
    n, width = 60_000, 120
    frame = pl.DataFrame({f"x{i}": dice.normal(size=n) for i in range(width)}).with_columns(
        pl.Series("label", dice.integers(0, 2, n))
    )
    path = tmp_path / f"t.{kind}"
    frame.write_parquet(path, row_group_size=5000, compression="uncompressed") if kind == "parquet" else frame.write_csv(
        path
    )
    del frame
    size = path.stat().st_size / 2**20
    assert size > 3.5 * allowed
    env = {
        **os.environ,
        raw.MEMORY: f"{allowed}MB",
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "2",
        "MALLOC_ARENA_MAX": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", growth(GROWN, 50), str(path)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    grew, lazy, _ = done.stdout.split()
    print(f"{kind}: a file of {size:.0f} MB, {allowed} MB allowed, {float(grew):.0f} MB taken")
    assert lazy == "True"
    assert float(grew) < size / 1.1, f"{grew} MB for {size:.0f} MB"
