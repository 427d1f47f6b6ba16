"""Processes that search together: the same study as one process, and one that outlives whoever dies, crashes or hangs in it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tuneful.core.errors import RecipeError, StudyError
from tuneful.core.study import Study
from tuneful.core.trial import Trial
from tuneful.pipeline import state
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.words import from_settings, from_words
from tuneful.pipeline.workers import called, count, joined

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
NETS = """
import ctypes, os, signal, time
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs, outputs, mood="fine"):
        super().__init__()
        self.mood, self.layer = mood, nn.Linear(inputs[0], outputs)

    def forward(self, x):
        if self.training and self.mood == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.training and self.mood == "hang":
            time.sleep(1000)
        if self.training and self.mood == "raise":
            raise ValueError("now and then")
        return self.layer(x.flatten(1))
"""


@pytest.fixture
def table(tmp_path, people) -> Path:
    return people(tmp_path)


def words(table: Path, name: str, workers: int, *more: str, trials: int = 8) -> list[str]:
    line = [sys.executable, "-m", "tuneful.cli", "tune", str(table), "target=y", "epochs=9", "threads=1", "batch_size=32"]
    line += [
        "early_stopping=off",
        *more,
        "--budget",
        f"{trials} trials",
        "--home",
        str(table.parent / "runs"),
        "--name",
        name,
    ]
    return [*line, "--workers", str(workers)]


SPACE = ("model=mlp", "lr=1e-4..1e-1", "width=4..32")


def run(line: list[str], folder: Path) -> str:
    done = subprocess.run(line, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stderr


def trials(table: Path, name: str) -> tuple[Trial, ...]:
    return Study.open(table.parent / "runs" / name, name, looking=True).trials()


def told(table: Path, name: str) -> list[tuple]:
    """All that is not time, and whose process did it."""
    points = [[(p.step, p.value, p.train_loss, p.valid_loss, p.lr) for p in t.curve] for t in trials(table, name)]
    return [
        (t.number, t.dials, t.because, t.state, t.ended_because, t.tags["legs"], curve)
        for t, curve in zip(trials(table, name), points, strict=True)
    ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, people) -> list[tuple]:
    """What one process comes to."""
    table = people(tmp_path_factory.mktemp("alone"))
    run(words(table, "one", 1, *SPACE, "--deterministic"), table.parent)
    return told(table, "one")


def test_two_workers_come_to_the_study_that_one_process_comes_to(table, alone):
    run(words(table, "two", 2, *SPACE, "--deterministic"), table.parent)
    assert told(table, "two") == alone
    assert len(alone) == 8
    assert len({t.state for t in trials(table, "two")}) > 1  # some went on to the end, others did not


@pytest.mark.slow
def test_workers_that_are_killed_again_and_again_come_to_the_same_study(table):
    run(words(table, "one", 1, *SPACE, "--deterministic", trials=40), table.parent)
    dice, kills = random.Random(1), 0
    with subprocess.Popen(
        words(table, "four", 4, *SPACE, "--deterministic", trials=40), cwd=table.parent, env=ENVIRONMENT,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        seen = table.parent / "runs" / "four" / "workers"
        while command.poll() is None and kills < 12:
            time.sleep(dice.random())
            names = sorted(seen.iterdir()) if seen.is_dir() else []
            if names:
                kills += 1
                pid = int(dice.choice(names).name.rsplit("-", 2)[1])
                if Path(f"/proc/{pid}").exists():
                    os.kill(pid, signal.SIGKILL)
        _, said = command.communicate(timeout=240)
    assert command.returncode == 0, said
    assert kills >= 5
    assert told(table, "four") == told(table, "one")


@pytest.mark.slow
def test_all_are_killed_and_the_same_command_goes_on(table):
    run(words(table, "one", 1, *SPACE, "--deterministic", trials=24), table.parent)
    line, dice = words(table, "two", 2, *SPACE, "--deterministic", trials=24), random.Random(2)
    for _ in range(4):
        with subprocess.Popen(
            line, cwd=table.parent, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as command:  # fmt: skip
            time.sleep(6 + 3 * dice.random())
            os.killpg(command.pid, signal.SIGKILL)
    run(line, table.parent)
    assert told(table, "two") == told(table, "one")


@pytest.mark.slow
def test_a_trial_that_crashes_or_raises_ends_with_its_reason_and_the_study_goes_on(table):
    (table.parent / "nets.py").write_text(NETS)
    moods = ("model=own", "factory=nets:Net", "arguments.mood=fine,crash,raise", "lr=1e-3,1e-2", "init=as_built")
    said = run(words(table, "moody", 2, *moods, trials=6), table.parent)
    assert "Traceback" not in said
    found = {(t.dials["model.arguments.mood"], t.dials["optimizer.lr"]): t for t in trials(table, "moody")}
    assert len(found) == 6
    for (mood, _), trial in found.items():
        if mood == "fine":
            assert trial.state in ("done", "paused")
        else:
            assert trial.state == "failed"
            assert ("crashed (SIGSEGV)" if mood == "crash" else "ValueError: now and then") in trial.ended_because


def test_a_worker_by_hand_takes_its_part_and_what_it_leaves_is_taken_up(table, alone):
    line = words(table, "hand", 1, *SPACE, "--deterministic")
    with subprocess.Popen(
        line, cwd=table.parent, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as command:
        folder, until = table.parent / "runs" / "hand", time.monotonic() + 240
        while not list(folder.glob("workers/*")) and time.monotonic() < until and command.poll() is None:
            time.sleep(0.05)
        command.kill()
    search = joined(folder, Halt(), device="cpu")
    for _ in search:
        pass
    assert search.ended == "all 8 trials of the budget have begun"
    assert told(table, "hand") == alone


def test_what_cannot_be_shared_and_what_cannot_be_the_same_is_told(table, tmp_path):
    x, y = np.zeros((8, 2), "f4"), np.zeros(8, "i8")
    memory = from_settings("tune", (x, y), {"lr": "1e-4..1e-1"}, budget="1h")
    assert count("auto", memory, own=False) == 1
    with pytest.raises(StudyError, match="2 workers are asked for, and the data are an object of this process"):
        count(2, memory, own=False)
    ours = from_words("tune", "digits", ["lr=1e-4..1e-1"], budget="1h")
    with pytest.raises(StudyError, match="the network is an object of this process"):
        count(2, ours, own=True)
    assert count("auto", from_words("tune", "digits", ["lr=1e-4..1e-1"], budget="1min"), own=False) == 1
    with pytest.raises(RecipeError, match="deterministic is asked for with a budget of 10min"):
        from_words("tune", "digits", ["lr=1e-4..1e-1", "deterministic=true"])
    with pytest.raises(StudyError, match="is not the folder of a run"):
        joined(tmp_path, Halt())


def test_a_study_in_a_database_is_joined_from_a_machine_that_sees_nothing_of_the_folder(table, postgres, alone):
    line = words(table, "far", 1, *SPACE, "--deterministic", "--storage", postgres)
    with subprocess.Popen(
        line, cwd=table.parent, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as command:
        folder, until = table.parent / "runs" / "far", time.monotonic() + 240
        while (
            len(list(folder.glob("trials/*/state.safetensors"))) < 2 and time.monotonic() < until and command.poll() is None
        ):
            time.sleep(0.02)
        there = command.poll() is None
        command.kill()
        _, told_so = command.communicate()
        assert there, told_so
    elsewhere = table.parent / "elsewhere"
    elsewhere.mkdir()
    moved = elsewhere / "the_same_people.csv"
    table.rename(moved)
    search = joined(called(postgres, "far", elsewhere), Halt(), device="cpu", source=str(moved))
    begun = [trial for trial in search.study.trials() if trial.state == "paused"]
    assert begun
    for trial in begun:  # what the other machine has done is here
        search.legs.fetch(trial.number)
        assert state.step(search.legs.path(trial.number)) == trial.curve[-1].step
    for _ in search:
        pass
    moved.rename(table)
    assert told(table, "far") == alone
    said = run(line, table.parent)  # the first machine ends it: the weights of the best come from the other
    assert "prove" in said
    assert not any(trial.number for trial in trials(table, "far") if trial.state == "running")
    with pytest.raises(StudyError, match="holds no study near"):
        called(postgres, "near", elsewhere)


def test_an_address_that_holds_a_password_or_is_of_no_database_is_refused():
    for address, said in (
        ("postgresql://me:secret@h/d", "holds a password"),
        ("mysql://h/d", "must be the address of a PostgreSQL"),
    ):
        with pytest.raises(RecipeError, match=said) as error:
            from_words("tune", "digits", ["lr=1e-4..1e-1", f"storage={address}"])
        assert "secret" not in str(error.value)
