"""Where a study's memory lies: Optuna's storage, checked before use and held by one process at a time.

Samplers see the storage through a `View`, in which trials are as they are to know them.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import json
import os
import sqlite3
import warnings
import weakref
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneful.core.errors import StorageError, StudyError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

FILE = "study.db"
PLACE = "study.json"  # in the folder of a run: where its study lies, when it is not beside
PATIENCE = 60  # seconds that a locked SQLite file is waited for
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}  # it is full, or locked


def place(folder: Path) -> tuple[str, str | None]:
    """The address of the study of a run, and its name there; the name is None for a file of its own. Raises StudyError."""
    path = folder / PLACE
    if not path.exists():
        return f"sqlite:///{folder / FILE}", None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return str(told["url"]), str(told["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path} is damaged ({error})", "give the study's address again with --storage") from None


def placed(folder: Path, url: str, name: str) -> None:
    """Note where the study of a run lies."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{PLACE}.part"
    aside.write_text(json.dumps({"url": url, "name": name}) + "\n", encoding="utf-8")
    aside.replace(folder / PLACE)


@contextlib.contextmanager
def held(folder: Path) -> Generator[None]:
    """Hold a study's folder for this process. The lock ends with the process, however it ends.

    Raises StudyError naming the process that holds it.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise StudyError(
                f"{folder} is in use by {holder}; one process at a time may work on it",
                "wait until it ends, stop it, or give this study another name with --name",
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()}")
        file.flush()
        yield


def set_aside(folder: Path) -> Path:
    """Give a run's folder another name beside its own, so that a new one can begin. Returns the new place.

    Raises StudyError when a process works in it.
    """
    with held(folder):
        number = 1
        while (place := folder.with_name(f"{folder.name}.old{number}")).exists():
            number += 1
        os.rename(folder, place)
    return place


def check(path: Path) -> None:
    """Is this SQLite file whole? Raises StudyError when it is damaged; a missing file is fine."""
    if not path.exists():
        return
    try:
        # Not read-only: after a kill SQLite may have to undo or finish what was being written.
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as db:
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()
        problem = "" if verdict and verdict[0] == "ok" else str(verdict and verdict[0])
    except sqlite3.DatabaseError as error:
        problem = str(error)
        if _disk(problem):
            raise _unwritable(path.parent, problem) from error
    if problem:
        raise StudyError(
            f"the study file {path} is damaged ({problem})",
            "move it away and run the same command; the curves and weights in trials/ beside it stay readable",
        )


@contextlib.contextmanager
def told(path: Path) -> Generator[None]:
    """Turn what a storage and the disk raise into our errors."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        text = str(error.__cause__ or error).splitlines()[0]
        if _disk(text):
            raise _unwritable(path, text) from error
        raise StudyError(f"the study at {path} cannot be used ({text})", "see that its storage can be reached") from error
    except OSError as error:
        if error.errno not in DISK:
            raise
        place = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
        raise _unwritable(path, place) from error


def _disk(text: str) -> bool:
    """Does SQLite speak of the disk?"""
    return any(sign in text for sign in ("is full", "disk I/O", "readonly", "unable to open"))


def _unwritable(folder: Path, text: str) -> StorageError:
    return StorageError(
        f"the run at {folder} cannot be written ({text}); what was saved before is whole",
        "free some space, or see to its permissions; then the same command goes on",
    )


def connect(url: str) -> BaseStorage:
    """Optuna's storage at an SQLAlchemy URL; its tables are made when they are missing.

    SQLite writes ahead and syncs at checkpoints: a killed process loses nothing, a power cut at most the last moments.
    """
    import optuna
    from sqlalchemy import event

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)  # the driver that we ask for
    patient = {"connect_args": {"timeout": PATIENCE}} if url.startswith("sqlite") else {}
    store = optuna.storages.RDBStorage(url, engine_kwargs=patient)
    if url.startswith("sqlite"):

        def write_ahead(connection: Any, _: object) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

        store.engine.dispose()
        event.listen(store.engine, "connect", write_ahead)
    found = optuna.storages.get_storage(store)
    weakref.finalize(found, store.engine.dispose)  # a connection that is only forgotten is told of by its driver
    return found


class View:
    """A storage for samplers, in which the first trials are those that one sets here, and the rest what is born in `inner`.

    trials: as samplers are to see them, in the order of their numbers; storage: to give to a study of Optuna's.
    """

    def __init__(self, inner: BaseStorage) -> None:
        from optuna.storages import BaseStorage
        from optuna.trial import TrialState

        self.trials: list[FrozenTrial] = []

        def get_all_trials(_: object, study_id: int, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
            born = inner.get_all_trials(study_id, deepcopy=False)[len(self.trials) :]
            waits = states is not None and set(states) == {TrialState.WAITING}  # as none of ours does
            found = born if waits else [*self.trials, *born]
            if states is not None:
                found = [one for one in found if one.state in states]
            return copy.deepcopy(found) if deepcopy else found

        def passed_on(name: str) -> Callable[..., Any]:
            def passed(_: object, *args: Any, **named: Any) -> Any:
                return getattr(inner, name)(*args, **named)

            return passed

        public = [name for name in vars(BaseStorage) if not name.startswith("_") and callable(getattr(BaseStorage, name))]
        methods = {name: passed_on(name) for name in public} | {"get_all_trials": get_all_trials}
        self.storage: BaseStorage = type("Seen", (BaseStorage,), methods)()


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Keep Optuna's notes on experimental parts of its samplers to itself."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
