"""Data that does not fit: the same batches and the same weights as from memory, wherever a run is taken up."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tuneful.core.errors import DataError
from tuneful.pipeline import judge
from tuneful.pipeline.batches import Batches
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.prove import prove
from tuneful.pipeline.stream import DEPTH
from tuneful.pipeline.train import Run
from tuneful.techniques.sources import raw

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pets(tmp_path_factory) -> Path:
    """Three classes of 60 images, of several sizes and modes, two of them damaged."""
    folder = tmp_path_factory.mktemp("pets")
    dice = np.random.default_rng(0)
    for label, base in (("ant", 40), ("bee", 120), ("cat", 200)):
        (folder / label).mkdir()
        for i in range(60):
            size = (14, 12) if i % 10 else (20, 17)
            pixels = np.clip(base + dice.normal(0, 60, (*size, 3)), 0, 255).astype("u1")
            Image.fromarray(pixels if i % 7 else pixels[..., 0]).save(folder / label / f"{i:02}.png")
    (folder / "ant" / "03.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    whole = (folder / "bee" / "05.png").read_bytes()
    (folder / "bee" / "05.png").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture
def both(pets, monkeypatch):
    """The task in memory, and the same one in its files."""
    here = prepare(pets)
    monkeypatch.setattr(raw, "allowed", lambda: 5000.0)
    there = prepare(pets)
    assert isinstance(here.train.x, np.ndarray)
    assert isinstance(there.train.x, Lazy)
    return here, there


def plan(task, **settings):
    recipe, _ = from_mapping(
        {
            "model": "convnet",
            "width": 4,
            "epochs": 3,
            "batch_size": 16,
            "threads": 1,
            "augments": ["flip", "crop"],
            **settings,
        },
        task,
    )
    return resolve(recipe, task)


def trained(task, **settings):
    run = Run(task, plan(task, **settings), device="cpu")
    points = list(run)
    return run, points


def same(a, b):
    one, two = a.network.state_dict(), b.network.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_both_paths_are_one_task_and_say_which_they_are(both):
    here, there = both
    assert here.fingerprint == there.fingerprint
    assert here.normalize == there.normalize
    assert (here.train.x.shape, here.train.x.dtype, here.train.x.nbytes) == (
        there.train.x.shape,
        there.train.x.dtype,
        there.train.x.nbytes,
    )
    np.testing.assert_array_equal(here.train.x, np.asarray(there.train.x[:]))
    np.testing.assert_array_equal(here.valid.x[5:9], there.valid.x[5:9])
    told = [next(f.what for f in task.findings if "half of what is free" in f.what) for task in both]
    assert "are kept in memory" in told[0]
    assert "stay in their files and are read by threads at every step (0.2 MB of memory are needed and 0.0 MB" in told[1]
    rest = [{str(f) for f in task.findings if "memory" not in f.what} for task in both]
    assert rest[0] == rest[1]
    assert any("cannot be read and are left out: 2 of 180" in text for text in rest[0])


def test_valid_is_kept_in_memory_where_it_fits(pets, monkeypatch):
    monkeypatch.setattr(raw, "allowed", lambda: 100_000.0)
    task = prepare(pets)
    assert isinstance(task.train.x, Lazy)
    assert isinstance(task.valid.x, np.ndarray)


def test_every_batch_is_the_same_in_any_order_of_asking(both):
    here, there = both
    a, b = Batches(here, plan(here), CPU), Batches(there, plan(there), CPU)
    assert a.steps == b.steps
    for step in [*range(a.steps), 3, 4, 0, a.steps - 1, a.steps + 2, 7, 8]:
        for one, two in zip(a.at(step), b.at(step)):
            assert torch.equal(one, two), step


def test_batches_that_grow_are_the_same(both):
    growing = {"batch_schedule": "step", "batch_to": 64}
    a, b = (Batches(task, plan(task, **growing), CPU) for task in both)
    assert len({len(a.at(step)[1]) for step in range(a.steps)}) > 1
    assert all(torch.equal(a.at(step)[0], b.at(step)[0]) for step in range(a.steps))


def test_weights_and_curve_are_the_same_to_the_last_bit(both):
    (here, curve), (there, other) = (trained(task, averaging=True) for task in both)
    assert same(here, there)
    assert [(p.value, p.train_loss) for p in curve] == [(p.value, p.train_loss) for p in other]
    p, q = (judge.predict(run.readout, task.valid.x) for run, task in zip((here, there), both))
    np.testing.assert_array_equal(p, q)


def test_a_proof_reads_the_test_split_from_its_files(both):
    found = [
        prove(task, Run(task, plan(task, epochs=1), device="cpu").candidate(), seconds=5.0, reason="a test") for task in both
    ]
    assert found[0]["test"] == found[1]["test"]


def test_a_run_that_was_stopped_goes_on_in_either_path(both, tmp_path):
    here, there = both
    whole, _ = trained(here)
    for begun, ended in ((there, here), (here, there), (there, there)):
        run = Run(begun, plan(begun), device="cpu")
        run.timed(7, 0.0)
        run.save(tmp_path / "state")
        later = Run.resume(ended, tmp_path / "state", device="cpu")
        list(later)
        assert same(whole, later)


KILLED = """
import sys, time
from pathlib import Path
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.train import Run
from tuneful.techniques.sources import raw
import json
raw.allowed = lambda: 5000.0
task = prepare(sys.argv[1])
run = Run(task, from_data(json.loads(sys.argv[3])), device="cpu", save_to=Path(sys.argv[2]), save_every=0.0)
for _ in run.walk(beat=0.0):
    print(run.step, flush=True)
    time.sleep(0.02)
"""


def test_a_run_that_was_killed_goes_on_exactly(both, pets, tmp_path):
    _, there = both
    recipe = plan(there)
    whole, _ = trained(there)
    command = [sys.executable, "-c", KILLED, str(pets), str(tmp_path / "state"), json.dumps(recipe.as_data())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= 9:
                child.send_signal(signal.SIGKILL)
                break
    later = Run.resume(there, tmp_path / "state", device="cpu")
    assert 0 < later.step < later.steps
    list(later)
    assert same(whole, later)


def test_what_a_thread_cannot_read_reaches_the_loop_as_a_sentence(pets, tmp_path, monkeypatch):
    shutil.copytree(pets, tmp_path / "pets")
    monkeypatch.setattr(raw, "allowed", lambda: 5000.0)
    task = prepare(tmp_path / "pets")
    run = Run(task, plan(task), device="cpu")
    for path in (tmp_path / "pets" / "cat").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"cat/\d\d\.png cannot be read as an image"):
        list(run)


def test_few_batches_wait_and_threads_end_with_the_run(both):
    _, there = both
    batches = Batches(there, plan(there, epochs=50), CPU)
    asked: list[int] = []
    ahead = batches._ahead

    def counted(step: int, rows_of=ahead.rows_of) -> np.ndarray:
        asked.append(step)
        return rows_of(step)

    ahead.rows_of = counted
    batches.at(0)
    time.sleep(0.3)
    assert asked == list(range(DEPTH))
    assert len(ahead._waiting) == DEPTH - 1
    assert any(t.name.startswith("tuneful-read") for t in threading.enumerate())
    del batches, ahead, counted
    gc.collect()
    for _ in range(50):
        if not any(t.name.startswith("tuneful-read") for t in threading.enumerate()):
            break
        time.sleep(0.1)
    assert not any(t.name.startswith("tuneful-read") for t in threading.enumerate())
