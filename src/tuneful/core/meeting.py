"""Where the processes that work on one study meet: whose turn it is to decide, and who is alive.

    meeting = beside(folder, url)
    meeting.join()                     # others see this process until it ends, however it ends
    with meeting.turn(): ...           # one process at a time
    meeting.alive("host-4711-3fa2")    # does the process of that name still live?

Both rest on locks that end with the process that holds them, so nobody waits for a heartbeat and no clock is compared: locks on files for
a study in a file (one machine, or a shared disk that knows `flock`), PostgreSQL's advisory locks for one in a database. A process
whose connection breaks is dead to the others; it joins anew under another name, and what it had claimed may be claimed by others.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
import weakref
from collections.abc import Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from tuneful.core.chance import key
from tuneful.core.errors import StudyError

PATIENCE = 120.0  # seconds that a turn is waited for before somebody is told


class Meeting(Protocol):
    """name: of this process among the others, "" before it has joined."""

    name: str

    def join(self) -> str:
        """Be seen by the others from now on; the name. Called again, it says the same, unless the connection was lost."""
        ...

    def leave(self) -> None:
        """Be seen no more: what this process runs may be taken up by others."""
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Inside, no other process is in its turn. Raises StudyError when none is to be had."""
        ...

    def alive(self, name: str) -> bool:
        """Does the process of this name live?"""
        ...

    def others(self) -> bool:
        """May another process have changed the study, since it has joined at some time?"""
        ...


class InFiles:
    """A meeting in a folder: `turn` and one file a process in `workers`, each locked by `flock`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, ""
        self._seen: Any = None  # ends that it is seen
        self._met = False

    def join(self) -> str:
        """See `Meeting.join`."""
        import fcntl

        if not self.name:
            place = self.folder / "workers"
            place.mkdir(parents=True, exist_ok=True)
            name = _name()
            seen = os.open(place / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
            fcntl.flock(seen, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._seen = weakref.finalize(self, os.close, seen)  # as long as this meeting is held, and the process lives
            self.name = name
        return self.name

    def leave(self) -> None:
        """See `Meeting.leave`."""
        if self.name and self._seen is not None:
            self._seen()
            (self.folder / "workers" / self.name).unlink(missing_ok=True)
            self.name = ""

    @contextlib.contextmanager
    def turn(self) -> Generator[None]:
        """See `Meeting.turn`."""
        import fcntl

        with (self.folder / "turn").open("w", encoding="ascii") as file:
            until = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if time.monotonic() > until:
                    raise StudyError(
                        f"another process has been deciding on the study in {self.folder} for {PATIENCE:g} s",
                        "see whether one of its workers hangs, and end it: nothing is lost",
                    )
                time.sleep(0.002)
            yield

    def alive(self, name: str) -> bool:
        """See `Meeting.alive`."""
        import fcntl

        if name == self.name:
            return True
        path = self.folder / "workers" / Path(name).name
        try:
            with path.open("r+", encoding="ascii") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        path.unlink(missing_ok=True)  # it has died; its name is never used again
        return False

    def others(self) -> bool:
        """See `Meeting.others`."""
        if not self._met:  # once somebody came, something may always have been changed
            with contextlib.suppress(FileNotFoundError):
                self._met = any(name != self.name for name in os.listdir(self.folder / "workers"))
        return self._met


class InPostgres:
    """A meeting in a PostgreSQL database, by advisory locks of a connection of its own. study: its number there."""

    def __init__(self, url: str, study: int) -> None:
        self.url, self.study, self.name = url, study, ""
        self._held: Any = None

    @property
    def _connection(self) -> Any:
        import psycopg

        if self._held is None or self._held.closed:
            # SQLAlchemy's URLs name the driver behind a +; libpq's do not.
            self._held = psycopg.connect("postgresql://" + self.url.partition("://")[2], autocommit=True)
            weakref.finalize(self, self._held.close)
            if self.name:  # dead to the others since the connection broke
                self.name = ""
                self.join()
        return self._held

    def _asked(self, what: str, *values: Any) -> Any:
        import psycopg

        for last in (False, True):
            try:
                return self._connection.execute(what, values).fetchone()[0]
            except psycopg.OperationalError as error:
                if self._held is not None:
                    self._held.close()
                if last:
                    raise StudyError(
                        f"the database of the study cannot be reached ({str(error).splitlines()[0]})",
                        "see that it runs; the same command goes on, and nothing is lost",
                    ) from error
                time.sleep(1.0)
        return None

    def join(self) -> str:
        """See `Meeting.join`."""
        if not self.name:
            name = _name()
            self._asked("SELECT pg_try_advisory_lock(%s)", _number(name))
            self.name = name
        else:
            self._asked("SELECT 1")  # is it still so?
        return self.name

    def leave(self) -> None:
        """See `Meeting.leave`."""
        if self._held is not None:
            import psycopg

            with contextlib.suppress(psycopg.Error):
                self._held.execute("SELECT pg_advisory_unlock_all()")  # closing alone would release them some time later
            self._held.close()
        self._held, self.name = None, ""

    @contextlib.contextmanager
    def turn(self) -> Generator[None]:
        """See `Meeting.turn`."""
        number = _number(f"turn {self.study}")
        until = time.monotonic() + PATIENCE
        while not self._asked("SELECT pg_try_advisory_lock(%s)", number):
            if time.monotonic() > until:
                raise StudyError(
                    f"another process has been deciding on the study for {PATIENCE:g} s",
                    "see whether one of its workers hangs",
                )
            time.sleep(0.01)
        try:
            yield
        finally:
            self._asked("SELECT pg_advisory_unlock(%s)", number)

    def alive(self, name: str) -> bool:
        """See `Meeting.alive`."""
        if name == self.name:
            return True
        if free := self._asked("SELECT pg_try_advisory_lock(%s)", _number(name)):
            self._asked("SELECT pg_advisory_unlock(%s)", _number(name))
        return not free

    def others(self) -> bool:
        """See `Meeting.others`."""
        return True


def beside(folder: Path, url: str, study: int) -> Meeting:
    """The meeting of a study. folder: where its trials lie; url: of its storage; study: its number in it."""
    return InPostgres(url, study) if url.startswith("postgresql") else InFiles(folder)


def _name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _number(name: str) -> int:
    """A key for PostgreSQL, 63 bits."""
    return key(0, f"tuneful {name}")


__all__ = ["InFiles", "InPostgres", "Meeting", "beside"]
