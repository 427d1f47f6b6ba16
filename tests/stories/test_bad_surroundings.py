"""Disks that are full or locked, other processes, signals: a sentence each, and the same command goes on as if nothing had been."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tuneful.core.study import Study

SMALL = ["digits", "limit=200", "threads=1"]


def trials(folder: Path) -> list[tuple]:
    return [
        (t.number, t.dials, t.because, t.state, [(p.step, p.value) for p in t.curve]) for t in Study.open(folder).trials()
    ]


# Disks

WIDE = [
    "tune",
    *SMALL,
    "model=mlp",
    "width=256",
    "depth=2",
    "lr=1e-4..1e-1",
    "epochs=2",
    "--budget",
    "3 trials",
    "--name",
    "h",
]


def result(run: Path) -> dict:
    evidence = json.loads((run / "evidence.json").read_text())
    return {
        "trials": trials(run),
        "test": evidence["test"],
        "network": (run / "artifact" / "weights.safetensors").read_bytes(),
    }


@pytest.fixture(scope="module")
def wide(nursery, tmp_path_factory):
    """What comes of the command when nothing is in its way."""
    folder = tmp_path_factory.mktemp("wide")
    assert nursery.wait(nursery.cli(*WIDE, "--home", folder, said=folder / "said")) == 0, (
        folder / "said" / "err"
    ).read_text()
    return result(folder / "h")


def mounted(folder: Path, size: str) -> bool:
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode == 0
    )


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ("60k", "cannot be written (database or disk is full); what was saved before is whole"),
        ("1m", "state.safetensors: the disk is full"),
        pytest.param("5m", "the disk is full; the state saved before is whole", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_is_told_and_with_space_the_same_command_goes_on(nursery, wide, tmp_path, size, sentence):
    if sys.platform != "linux" or os.geteuid() != 0 or not mounted(tmp_path, size):
        pytest.skip("a small file system cannot be mounted here; the test with a limit for files stands for this one")
    try:
        with tempfile.TemporaryDirectory() as said:
            words = [*WIDE, "--home", tmp_path]
            assert nursery.wait(nursery.cli(*words, said=Path(said))) == 2
            err = (Path(said) / "err").read_text()
            assert sentence in err
            assert "hint: free some space" in err
            assert "Traceback" not in err
            subprocess.run(["mount", "-o", "remount,size=64m", tmp_path], check=True)
            assert nursery.wait(nursery.cli(*words, said=Path(said))) == 0, (Path(said) / "err").read_text()
            assert result(tmp_path / "h") == wide
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_a_file_that_may_not_grow_is_told_and_with_space_the_same_command_goes_on(nursery, wide, tmp_path):
    words = [*WIDE, "--home", tmp_path]
    assert nursery.wait(nursery.cli(*words, said=tmp_path / "said", largest=1_000_000)) == 2
    err = (tmp_path / "said" / "err").read_text()
    assert "state.safetensors: File too large" in err
    assert "Traceback" not in err
    assert nursery.wait(nursery.cli(*words, said=tmp_path / "said")) == 0
    assert result(tmp_path / "h") == wide


def test_a_folder_that_must_not_be_written_is_told(nursery, finished, tmp_path_factory):
    with tempfile.TemporaryDirectory() as place:  # a place that others may enter
        os.chmod(place, 0o755)
        run = Path(place) / "few"
        shutil.copytree(finished, run)
        said = Path(place) / "said"
        said.mkdir(mode=0o777)
        said.chmod(0o777)
        for path in [*run.rglob("*"), run]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        other = {"user": 65534} if os.geteuid() == 0 else {}
        for words in (["resume", run], ["train", *SMALL, "--home", Path(place), "--name", "new"]):
            (said / "out").unlink(missing_ok=True)
            (said / "err").unlink(missing_ok=True)
            pid = nursery.start("cli", words=[str(w) for w in words], out=str(said / "out"), err=str(said / "err"), **other)
            if not other:
                Path(place).chmod(0o555)
            assert nursery.wait(pid) == 2, (said / "err").read_text()
            err = (said / "err").read_text()
            assert "cannot be written (Permission denied" in err
            assert "Traceback" not in err
        for path in [*run.rglob("*"), run, Path(place)]:
            path.chmod(0o755)


# Other processes, and signals

LONG = [
    "tune",
    *SMALL,
    "model=mlp",
    "width=8..64",
    "lr=1e-4..1e-1",
    "epochs=9",
    "--budget",
    "16 trials",
    "--name",
    "long",
    "--deterministic",
]


def test_two_processes_do_not_work_on_one_run(nursery, until, tmp_path, refused):
    words = [*LONG, "--home", tmp_path]
    pid = nursery.cli(*words, said=tmp_path / "said")
    until(lambda: "search:" in (tmp_path / "said" / "err").read_text())
    for other in (words, ["resume", tmp_path / "long"], [*words, "--fresh"]):
        said = refused(*other)
        assert f"{tmp_path / 'long'} is in use by process {pid}; one process at a time may work on it" in said
        assert "hint: wait until it ends, stop it, or give this study another name with --name" in said
    os.kill(pid, signal.SIGKILL)
    nursery.wait(pid)


def test_ctrl_c_and_sigterm_stop_cleanly_and_the_run_goes_on_as_if_nothing_had_been(nursery, until, tmp_path):
    whole, words = tmp_path / "whole", [*LONG, "--home", tmp_path]
    assert nursery.wait(nursery.cli(*LONG, "--home", whole, said=tmp_path / "said")) == 0
    run, err = tmp_path / "long", tmp_path / "said" / "err"
    for number, (sign, code) in enumerate([(signal.SIGTERM, 0), (signal.SIGINT, 130)]):
        pid = nursery.cli(*(words if number == 0 else ["resume", run]), said=tmp_path / "said")
        until(lambda: "search:" in err.read_text())
        time.sleep(0.3)
        os.kill(pid, sign)
        assert nursery.wait(pid) == code, err.read_text()
        assert f"stopped on request; nothing is lost: `tuneful resume {run}` goes on" in err.read_text()
        assert "Traceback" not in err.read_text()
        assert (run / "report.html").exists()
    assert not (run / "evidence.json").exists()
    assert nursery.wait(nursery.cli("resume", run, said=tmp_path / "said")) == 0
    assert trials(run) == trials(whole / "long")
    assert result(run) == result(whole / "long")


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_real_command_stops_when_it_is_asked_to(until, tmp_path, sign, code, tuneful):
    line = [sys.executable, "-m", "tuneful.cli", *LONG, "--home", str(tmp_path)]
    with (tmp_path / "err").open("w") as err, subprocess.Popen(line, stdout=err, stderr=err) as child:
        until(lambda: "search:" in (tmp_path / "err").read_text())
        child.send_signal(sign)
    said = (tmp_path / "err").read_text()
    assert child.returncode == code, said
    assert f"`tuneful resume {tmp_path / 'long'}` goes on" in said
    assert tuneful("resume", tmp_path / "long").code == 0
