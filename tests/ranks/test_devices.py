"""A training in several processes from the shell and from Python: what becomes of it when a process is killed, or asked to stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ranks_group import together

from tuneful.pipeline import state
from tuneful.pipeline.carrying import cores

LONG = ("digits", "model=mlp", "regularizers=none", "epochs=2000", "--name", "long", "--devices", "2")
TWO = pytest.mark.skipif(cores() < 2, reason="two processes want two cores")


def command(home: Path, *words: str) -> subprocess.Popen[str]:
    """The command, begun."""
    return subprocess.Popen([sys.executable, "-m", "tuneful.cli", *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, "TUNEFUL_HOME": str(home), "OMP_NUM_THREADS": "1"})  # fmt: skip


def ranks_of(process: subprocess.Popen[str]) -> dict[int, int]:
    """Process ids by rank."""
    found: dict[int, int] = {}
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for line in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                if line.startswith(b"RANK="):
                    found[int(line[5:])] = int(child)
    return found


def steps(home: Path) -> int:
    """How far the state is that lies on the disk; 0 where none does."""
    path = home / "long/trials/0000/state.safetensors"
    return int(state.load(path)[1]["step"]) if path.exists() else 0


def begun(home: Path, process: subprocess.Popen[str], curve: int = 3) -> None:
    """Wait until there are points: the study is asked, as the state is written later."""
    from tuneful.core.study import Study

    until = time.monotonic() + 240
    while time.monotonic() < until and process.poll() is None:
        if (home / "long/study.db").exists() and Study.begun(home / "long"):
            trials = Study.open(home / "long", looking=True).trials()
            if trials and len(trials[0].curve) >= curve:
                return
        time.sleep(0.2)
    process.kill()
    pytest.fail(f"nothing was trained: {process.communicate()}")


@TWO
@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found by /proc")
def test_a_killed_rank_ends_the_run_in_words_and_it_goes_on(tmp_path: Path) -> None:
    """Nothing that was done is lost: the step at hand alone is done again."""
    process = command(tmp_path, "train", *LONG)
    begun(tmp_path, process)
    os.kill(ranks_of(process)[1], signal.SIGKILL)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 2, said
    assert "the run is saved as it was after" in said
    assert "rank 1 of 2 was killed by SIGKILL" in said
    assert "Traceback" not in said
    before = steps(tmp_path)
    assert f"after {before} steps" in said
    process = command(tmp_path, "resume", "long")  # alone
    begun(tmp_path, process, curve=3 + before // 33)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert steps(tmp_path) > before
    curve = state.load(tmp_path / "long/trials/0000/state.safetensors")[1]["curve"]
    assert any("ranks 1 (2 before)" in note for point in curve for note in point["notes"])


@pytest.mark.slow
@TWO
@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found by /proc")
def test_goes_on_by_itself_after_a_death_and_stops_when_asked(tmp_path: Path) -> None:
    process = command(tmp_path, "train", *LONG, "--restarts", "1")
    begun(tmp_path, process)
    first = ranks_of(process)
    os.kill(first[1], signal.SIGKILL)
    until = time.monotonic() + 240
    while time.monotonic() < until and (len(now := ranks_of(process)) < 2 or set(now.values()) & set(first.values())):
        time.sleep(0.2)
    begun(tmp_path, process, curve=4 + steps(tmp_path) // 33)
    before = steps(tmp_path)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert 2000 * 33 > steps(tmp_path) >= before > 0  # asked to, it stopped before its end


def test_python_in_processes_of_torchrun_gives_every_rank_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "import json, tuneful\n"
        "for name, shard in (('own', False), ('split', True)):\n"
        "    result = tuneful.train('digits', model='mlp', epochs=2, limit=200, name=name, shard=shard)\n"
        "    weights = float(sum(p.double().sum() for p in result.candidate.network.parameters()))\n"
        "    print('FOUND', json.dumps([result.headline, result.candidate.steps, weights, result.artifact is not None]))\n"
        "try:\n    tuneful.tune('digits', lr='1e-4..1e-1')\nexcept tuneful.TunefulError as error:\n    print('SAID', error.message)\n"
    )
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    said = together(script, 2)
    found = [
        json.loads(line.removeprefix("FOUND ")) for text in said for line in text.splitlines() if line.startswith("FOUND ")
    ]
    assert len(found) == 4  # two ranks, weights whole and sharded
    for other in found[1:]:
        assert found[0][:2] == other[:2]
        assert found[0][2] == pytest.approx(other[2], rel=1e-5)
        assert other[3]
    assert all("SAID tune works in one process; torchrun has started several" in text for text in said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "digits", "--devices", "0"), "--devices is 0; it must be a whole number from 1 on, or auto"),
        (("train", "digits", "--devices", "9999"), "--devices is 9999; this machine has"),
        (("train", "digits", "--shard"), "--shard is for several processes, and --devices is not given"),
        (("train", "digits", "--restarts", "2"), "--restarts is for several processes, and --devices is not given"),
        (
            ("tune", "digits", "lr=1e-4..1e-1", "--devices", "2"),
            "tune takes no --devices; one training in several processes is what train does",
        ),
    ],
)
def test_wrong_lines_are_answered_in_words(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    from tuneful.cli.door import main

    assert main(words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "hint:" in told
