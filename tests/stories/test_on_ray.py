"""Workers on a Ray cluster: the study of one process, though a worker of Ray is killed; and what is said where there is no Ray."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tuneful.core.errors import MissingError, RecipeError, StudyError
from tuneful.core.study import Study
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.on_ray import crewed
from tuneful.pipeline.words import from_settings

HAS_RAY = importlib.util.find_spec("ray") is not None
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
ENVIRONMENT.pop("RAY_ADDRESS", None)


def job(mode: str = "tune", **settings):
    return from_settings(mode, "digits", {"lr": "1e-4..1e-1" if mode == "tune" else 1e-3, **settings})


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingError, match=r"a search on a cluster .* needs the package ray, which is not installed"):
        crewed(job(on="ray"), False, Halt(), None)


def test_what_cannot_go_to_a_cluster_is_told_before_ray_is_started(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(StudyError, match="train is one trial"):
        crewed(job("train", on="ray"), False, Halt(), None)
    with pytest.raises(StudyError, match="the network is an object of this process"):
        crewed(job(on="ray"), True, Halt(), None)
    with pytest.raises(RecipeError, match=r"search\.on is 'spark'"):
        job(on="spark")


def line(table: Path, name: str, *more: str) -> list[str]:
    words = [
        "tune",
        str(table),
        "target=y",
        "model=mlp",
        "lr=1e-4..1e-1",
        "epochs=9",
        "threads=1",
        "batch_size=16",
        "--deterministic",
    ]
    return [sys.executable, "-m", "tuneful.cli", *words, "--budget", "8 trials", "--no-confirm", "--name", name, *more]  # fmt: skip


def hands(ancestor: int) -> list[int]:
    """The processes of Ray that tend a worker of ours, and descend from this one."""
    found = []
    for place in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(place.name)
            if not (place / "cmdline").read_bytes().startswith(b"ray::tuneful-worker"):
                continue
            above = pid
            while above > 1 and above != ancestor:
                above = int((Path("/proc") / str(above) / "stat").read_text().rpartition(")")[2].split()[1])
            found += [pid] if above == ancestor else []
    return found


def told(folder: Path) -> list:
    trials = Study.open(folder).trials()
    return [(t.number, t.dials, t.state, [(p.step, p.value.value, p.train_loss) for p in t.curve]) for t in trials]


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="ray is not installed")
def test_a_killed_worker_of_ray_costs_nothing_but_time(tmp_path, people):
    environment = {**ENVIRONMENT, "TUNEFUL_HOME": str(tmp_path / "runs")}
    table = people(tmp_path)
    subprocess.run(line(table, "alone", "--workers", "1"), env=environment, capture_output=True, text=True, check=True)
    with (tmp_path / "said").open("w") as said:
        command = subprocess.Popen(
            line(table, "on-ray", "--on", "ray", "--workers", "2"), env=environment, stdout=said, stderr=said
        )
        folder, killed = tmp_path / "runs" / "on-ray", []
        until = time.monotonic() + 240
        while command.poll() is None and time.monotonic() < until:
            begun = list((folder / "trials").glob("*/state.safetensors"))
            if begun and not killed and (there := hands(command.pid)):
                os.kill(there[0], signal.SIGKILL)
                killed.append(there[0])
            time.sleep(0.05)
        code = command.wait(120)
    assert code == 0, (tmp_path / "said").read_text()
    assert killed
    assert "2 workers on the Ray cluster at" in (tmp_path / "said").read_text()
    assert told(folder) == told(tmp_path / "runs" / "alone")
    time.sleep(2)
    assert hands(command.pid) == []
