"""Recording: what is written, within which bounds, and that nothing of it can harm the server; records that are none are refused."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tuneful.core.errors import StorageError, TunefulError
from tuneful.core.recipe import Recipe
from tuneful.pipeline.candidate import Candidate, Network, ends
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.ship import ship
from tuneful.runtime.preprocess import read_rows
from tuneful.runtime.serve import Limits
from tuneful.runtime.serve.served import opened
from tuneful.runtime.watch import recorder, store
from tuneful.runtime.watch.recorder import Recorder, usable
from tuneful.runtime.watch.recording import Recording

from .conftest import people


def recorded(model, how, count=300, times=1, events=None):
    told = events if events is not None else []
    one = Recorder(how, lambda event, facts: told.append((event, facts)))
    rows = people(count, 1)
    x = model.encoded({name: rows[name] for name in rows if name != "income"})
    y = model.told(x)
    for turn in range(times):
        for at in range(0, count, 3):
            one.offer(model, "people", "1", f"{turn}-{at}", x[at : at + 3], y[at : at + 3])
    one.close()
    return one, rows, y


def test_what_was_offered_can_be_read(model, tmp_path):
    one, rows, y = recorded(model, Recording.of(tmp_path / "r.db", ""))
    (found,), facts = store.read(tmp_path / "r.db")
    assert (one.lost, len(found), found.name, found.version) == (0, 300, "people", "1")
    assert found.requests[:4] == ["0-0", "0-0", "0-0", "0-3"]
    assert found.rows[:4].tolist() == [1, 2, 3, 1]
    np.testing.assert_allclose(found.told, y, rtol=1e-6)
    names = [column["name"] for column in found.about["features"]]
    np.testing.assert_allclose(found.counted[:, names.index("age")], rows["age"], atol=1e-4)
    levels = found.about["features"][names.index("job")]["levels"]
    assert [levels[int(code)] for code in found.counted[:, names.index("job")]] == rows["job"]
    assert facts["share"] == 1


def test_a_forecast_is_recorded_as_one_example(tmp_path):
    dice = np.random.default_rng(0)
    lines = [f"2020-01-{1 + at // 24:02d} {at % 24:02d}:00,{np.sin(at / 4) + 0.1 * dice.normal():.3f}" for at in range(600)]
    (tmp_path / "load.csv").write_text("when,load\n" + "\n".join(lines) + "\n")
    task = prepare(str(tmp_path / "load.csv"), target="load", horizon=4, window=24)
    torch.manual_seed(0)
    front, back = ends(task)
    net = Network(front, nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(task.shape)), 4)), back).eval()
    ship(task, Candidate(net, Recipe(), steps=0), {"headline": "untrained"}, tmp_path / "artifact")
    served = opened("load", "1", tmp_path / "artifact", Limits())
    past = read_rows(tmp_path / "load.csv")
    answer = asyncio.run(served.answer(past, 1))
    encoded, told = served.alone_in_numbers(answer, past)
    one = Recorder(Recording.of(tmp_path / "r.db", ""), lambda event, facts: None)
    one.offer(served.model, "load", "1", "a", encoded, told)
    one.close()
    served.close()
    (found,), _ = store.read(tmp_path / "r.db")
    assert (one.lost, len(found)) == (0, 1)
    np.testing.assert_allclose(found.told[0], served.model.predict(past), rtol=1e-5)
    names = [column["name"] for column in (*found.about["features"], *found.about["answers"])]
    assert found.counted[0, names.index("load.last")] == pytest.approx(float(past["load"][-1]), abs=1e-4)


def test_personal_columns_are_left_out_by_name(model, tmp_path):
    recorded(model, Recording.of(tmp_path / "r.db", "drop=age"))
    (found,), _ = store.read(tmp_path / "r.db")
    assert [column["name"] for column in found.about["features"]] == ["job"]
    assert "age" in found.about["dropped"]
    assert b"@example.org" not in (tmp_path / "r.db").read_bytes()
    how = Recording.of(tmp_path / "x.db", "drop=town*,keep=name")
    told = {
        name: how.dropped(name) for name in ("Town_2", "name", "E-Mail", "birth.year", "first_name", "age", "iban", "unname")
    }
    assert told == {
        "Town_2": True,
        "name": False,
        "E-Mail": True,
        "birth.year": True,
        "first_name": True,
        "age": False,
        "iban": True,
        "unname": False,
    }


def test_a_share_is_chosen_by_the_id(tmp_path):
    how = Recording.of(tmp_path / "r.db", "share=0.2")
    ids = [f"{at:x}-abc" for at in range(5000)]
    chosen = [how.chosen(one) for one in ids]
    assert 0.18 < np.mean(chosen) < 0.22
    assert chosen == [Recording.of(tmp_path / "s.db", "share=0.2").chosen(one) for one in ids]


def test_the_file_stays_within_its_bound_and_the_newest_stay(model, tmp_path):
    how = Recording.of(tmp_path / "r.db", "size=1MB")
    for turn in range(12):
        recorded(model, how, count=1500, times=1)
        assert sum(file.stat().st_size for file in tmp_path.glob("r.db*")) < 1_000_000 + (1 << 22), turn
    (found,), facts = store.read(tmp_path / "r.db")
    assert facts["removed"] > 0
    assert len(found) + facts["removed"] == 12 * 1500
    assert found.times[-1] > time.time() - 30


def test_what_is_too_old_goes(model, tmp_path):
    recorded(model, Recording.of(tmp_path / "r.db", ""))
    with sqlite3.connect(tmp_path / "r.db") as link:
        link.execute("UPDATE predictions SET time = time - 10 * 86400 WHERE key <= 200")
    recorded(model, Recording.of(tmp_path / "r.db", "days=5"), count=3)
    (found,), facts = store.read(tmp_path / "r.db")
    assert (len(found), facts["removed"]) == (103, 200)


def test_a_full_queue_loses_counts_and_never_waits(model, tmp_path):
    one = Recorder(Recording.of(tmp_path / "r.db", ""), lambda event, facts: None)
    x = model.encoded({name: values for name, values in people(1000, 1).items() if name != "income"})
    y = model.told(x)
    begun = time.perf_counter()
    for at in range(200):
        one.offer(model, "people", "1", str(at), x, y)
    assert time.perf_counter() - begun < 0.5
    one.close()
    (found,), facts = store.read(tmp_path / "r.db")
    assert len(found) + one.lost == 200_000
    assert one.lost > 0
    assert facts["lost"] == one.lost


FULL = """
import resource, signal, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tuneful.runtime.load import load
from tuneful.runtime.watch.recorder import Recorder
from tuneful.runtime.watch.recording import Recording
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
model = load(sys.argv[3])
x = model.encoded({"age": [40.0] * 2000, "job": ["nurse"] * 2000, "email": ["a"] * 2000})
y = model.told(x)
told = []
one = Recorder(Recording.of(Path(sys.argv[1]), ""), lambda event, facts: told.append(event))
one.offer(model, "people", "1", "first", x[:1], y[:1])
time.sleep(1.2)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
one.offer(model, "people", "1", "too much", x, y)
time.sleep(1.2)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
one.offer(model, "people", "1", "last", x[:2], y[:2])
time.sleep(2.5)
one.close()
print(told, one.lost)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on the size of files here")
def test_a_full_disk_is_told_once_survived_and_counted(artifact, tmp_path):
    code = [sys.executable, "-c", FULL, str(tmp_path / "r.db"), str(Path(recorder.__file__).parents[3]), str(artifact)]
    done = subprocess.run(code, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "['not recorded', 'recording again'] 2000", done.stderr
    (found,), facts = store.read(tmp_path / "r.db")
    assert found.requests == ["first", "last", "last"]
    assert facts["lost"] == 2000


def test_a_place_that_cannot_be_written_is_refused_before_serving(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot be recorded to"):
        usable(Recording.of(tmp_path / "file" / "r.db", ""))
    with pytest.raises(StorageError, match="cannot be recorded to"):
        usable(Recording.of(tmp_path / "file", ""))


@pytest.mark.parametrize(
    "bad", ["share=0", "share=2", "size=5", "size=1TB", "days=0", "colour=red", "inputs=perhaps", "share=x"]
)
def test_a_bound_that_cannot_be_is_refused(tmp_path, bad):
    with pytest.raises(TunefulError, match=bad.partition("=")[0]):
        Recording.of(tmp_path / "r.db", bad)


def spoiled(kind, file, model):
    """A record with something wrong in it."""
    if kind == "nothing":
        return
    if kind == "text":
        file.write_text("id,label\n")
        return
    if kind == "other database":
        with sqlite3.connect(file) as link:
            link.execute("CREATE TABLE predictions (x)")
        return
    recorded(model, Recording.of(file, ""))
    if kind == "torn":
        data = bytearray(file.read_bytes())
        dice = np.random.default_rng(0)
        for at in dice.integers(4096, len(data), 3000):
            data[at] = dice.integers(256)
        file.write_bytes(data)
        return
    if kind == "cut":
        file.write_bytes(file.read_bytes()[:9000])
        return
    with sqlite3.connect(file) as link:
        if kind == "newer":
            link.execute("PRAGMA user_version=9")
        if kind == "no table":
            link.execute("DROP TABLE predictions")
        if kind == "about":
            link.execute("UPDATE models SET about = ?", ("[" * 100_000,))
        if kind == "about2":
            link.execute(
                "UPDATE models SET about = ?",
                ('{"kind": "binary", "features": [{"name": 3, "levels": []}], "answers": [], "labels": [], "width": 2}',),
            )


@pytest.mark.parametrize(
    "kind", ["nothing", "text", "other database", "torn", "cut", "newer", "no table", "about", "about2"]
)
def test_a_file_that_is_no_record_is_refused_in_words(model, tmp_path, kind):
    spoiled(kind, tmp_path / "r.db", model)
    with pytest.raises(TunefulError) as said:
        store.read(tmp_path / "r.db")
    assert "r.db" in said.value.message
    assert said.value.hint


def test_rows_of_another_size_or_kind_are_passed_over(model, tmp_path):
    recorded(model, Recording.of(tmp_path / "r.db", ""))
    with sqlite3.connect(tmp_path / "r.db") as link:
        link.execute("UPDATE predictions SET features = zeroblob(50000000) WHERE key = 1")
        link.execute("UPDATE predictions SET time = 'noon' WHERE key = 2")
        link.execute("UPDATE predictions SET time = 9e999 WHERE key = 3")
        link.execute("UPDATE predictions SET told = x'00' WHERE key = 4")
        link.execute("UPDATE predictions SET request = x'ff00ff' WHERE key = 5")
    (found,), _ = store.read(tmp_path / "r.db")
    assert len(found) == 296
    assert np.isfinite(found.times).all()
