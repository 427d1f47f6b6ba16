"""Where processes meet: one decides at a time, and who has died is dead to the others at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuneful.core.errors import StudyError
from tuneful.core.meeting import InFiles, InPostgres, Meeting, beside

JOINED = """
import sys
from pathlib import Path
from tuneful.core.meeting import beside
meeting = beside(Path(sys.argv[1]), sys.argv[2], 7)
print(meeting.join(), flush=True)
with meeting.turn():
    print("in turn", flush=True)
    sys.stdin.readline()
print("out", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(params=["files", "postgres"])
def address(request, tmp_path) -> tuple[Path, str]:
    return tmp_path, request.getfixturevalue("postgres") if request.param == "postgres" else "sqlite:///study.db"


@pytest.fixture
def another(address) -> Iterator[subprocess.Popen[str]]:
    """A process that has joined, and is in its turn."""
    with subprocess.Popen(
        [sys.executable, "-c", JOINED, *map(str, address)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        yield child
        child.kill()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def here(address: tuple[Path, str]) -> Meeting:
    return beside(*address, 7)


def test_the_kind_of_meeting_follows_the_storage(tmp_path):
    assert isinstance(beside(tmp_path, "sqlite:///x.db", 1), InFiles)
    assert isinstance(beside(tmp_path, "postgresql+psycopg://u@h/d", 1), InPostgres)


def test_who_is_killed_is_dead_to_the_others_and_his_turn_is_over(address, another):
    meeting = here(address)
    name = line(another)
    assert line(another) == "in turn"
    assert meeting.alive(name)
    assert meeting.others()
    another.send_signal(signal.SIGKILL)
    another.wait()
    with meeting.turn():
        assert not meeting.alive(name)
    meeting.leave()


def test_one_is_in_his_turn_at_a_time(address, another, monkeypatch):
    monkeypatch.setattr("tuneful.core.meeting.PATIENCE", 0.2)
    meeting = here(address)
    line(another)
    assert line(another) == "in turn"
    with pytest.raises(StudyError, match="another process has been deciding"), meeting.turn():
        pass
    assert another.stdin is not None
    another.stdin.write("\n")
    another.stdin.flush()
    assert line(another) == "out"
    with meeting.turn():
        pass
    meeting.leave()


def test_who_leaves_is_gone_and_comes_back_under_another_name(address):
    meeting, other = here(address), here(address)
    name = meeting.join()
    assert meeting.join() == name
    assert other.alive(name)
    meeting.leave()
    assert not other.alive(name)
    assert meeting.join() not in ("", name)
    meeting.leave()
    other.leave()


def test_nobody_else_has_come_as_long_as_one_is_alone(tmp_path):
    meeting = InFiles(tmp_path)
    assert not meeting.others()
    meeting.join()
    assert not meeting.others()
    other = InFiles(tmp_path)
    other.join()
    assert meeting.others()
    other.leave()
    assert meeting.others()  # he may have changed what lies there
    meeting.leave()


def test_whose_connection_breaks_is_dead_and_joins_anew(postgres):
    import psycopg

    one, other = InPostgres(postgres, 3), InPostgres(postgres, 3)
    name = one.join()
    with psycopg.connect("postgresql://" + postgres.partition("://")[2], autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    time.sleep(0.1)
    assert not other.alive(name)
    assert one.join() != name
    with one.turn():
        assert other.alive(one.name)
    one.leave()
    other.leave()


def test_a_database_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(StudyError, match="the database of the study cannot be reached"):
        InPostgres(f"postgresql+psycopg://u@/d?host={tmp_path}", 1).join()
