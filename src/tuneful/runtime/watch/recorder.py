"""The recorder: takes predictions from the server without ever making it wait, and writes them from a thread of its own.

`offer` lays an answer into a bounded queue, or counts it as lost; it never raises and never touches the disk. The thread wakes twice a
second, counts the features of what has come, and writes it in one transaction. When the disk is full or the file is gone it says so
once, counts what is lost, and tries again ever later; serving goes on.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import StorageError, TunefulError
from tuneful.runtime import answers
from tuneful.runtime.features import Feature, of_answers, of_input
from tuneful.runtime.load import Model
from tuneful.runtime.watch import store
from tuneful.runtime.watch.recording import Recording

QUEUE, BYTES = 20_000, 64_000_000  # examples that wait to be written, and the memory that they may take
EVERY, PATIENCE = 0.5, 60.0  # seconds between two writings; between two tries at most
WIDE = 1000  # numbers of an answer that are kept as they are
PAGE = 4096


class Offered(NamedTuple):
    model: Model
    name: str
    version: str
    request: str
    when: float
    encoded: NDArray[Any]
    told: NDArray[Any]


Seen = tuple[Offered, list[Feature], list[Feature]]  # one of a model's answers, and what was counted of all of them


class Recorder:
    """One of them a process. told: is called with an event and its facts when writing fails, and when it works again; seen: with each
    model's counted features once they are written; missed: with how many examples were lost."""

    def __init__(
        self, how: Recording, told: Callable[[str, dict[str, Any]], None],
        seen: Callable[[str, str, Model, list[Feature], list[Feature]], None] | None = None, missed: Callable[[int], None] = lambda count: None,
    ) -> None:  # fmt: skip
        self.how, self.lost, self.trouble = how, 0, ""
        self._told, self._seen, self._missed = told, seen, missed
        self._queue: deque[Offered] = deque()
        self._waiting = self._bytes = self._owed = 0
        self._lock = threading.Lock()
        self._keys: dict[tuple[str, str, str], int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def offer(self, model: Model, name: str, version: str, request: str, encoded: NDArray[Any], told: NDArray[Any]) -> None:
        """Record an answer if there is room. Returns at once."""
        if not self.how.chosen(request):
            return
        count, size = len(encoded), encoded.nbytes + told.nbytes
        with self._lock:
            room = self._waiting + count <= QUEUE and self._bytes + size <= BYTES
            if room:
                self._waiting, self._bytes = self._waiting + count, self._bytes + size
        if room:
            self._queue.append(Offered(model, name, version, request[: store.LONGEST], time.time(), encoded, told))
        else:
            self._lose(count)

    def _lose(self, count: int) -> None:
        with self._lock:
            self.lost += count
            self._owed += count
        self._missed(count)

    def close(self) -> None:
        """Write what waits, and end."""
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        link: sqlite3.Connection | None = None
        pause, ending = EVERY, False
        while not ending:
            ending = self._stop.wait(pause)
            taken = [self._queue.popleft() for _ in range(len(self._queue))]
            count = sum(len(one.encoded) for one in taken)
            with self._lock:
                self._waiting -= count
                self._bytes -= sum(one.encoded.nbytes + one.told.nbytes for one in taken)
            if not taken and not self._owed:
                continue
            try:
                link = link or opened(self.how)
                seen = self._write(link, taken)
                if self.trouble:
                    self._told("recording again", {"lost": self.lost})
                self.trouble, pause = "", EVERY
                self._look(seen)
            except Exception as error:  # the disk, the file, or a mistake of ours: what is served goes on
                self._lose(count)
                pause = min(PATIENCE, pause * 2)
                if not self.trouble:
                    why = str(error) if isinstance(error, sqlite3.Error | OSError | TunefulError) else repr(error)
                    self._told("not recorded", {"file": str(self.how.file), "error": why[:300], "lost": self.lost})
                self.trouble = str(error) or "unknown"
                self._keys.clear()
                _closed(link)
                link = None
        _closed(link)

    def _look(self, seen: Sequence[Seen]) -> None:
        """Hand on what was counted. What goes wrong there is told once, and ends it."""
        if self._seen is None:
            return
        try:
            for first, inputs, said in seen:
                self._seen(first.name, first.version, first.model, inputs, said)
        except Exception as error:
            self._seen = None
            self._told("drift is not told", {"error": repr(error)[:300]})

    def _write(self, link: sqlite3.Connection, taken: Sequence[Offered]) -> list[Seen]:
        groups: dict[tuple[str, str, int, int], list[Offered]] = {}
        for one in taken:
            groups.setdefault((one.name, one.version, id(one.model), one.encoded.shape[-1]), []).append(one)
        seen = [(group[0], *_counted(group)) for group in groups.values()]
        owed = self._owed
        with link:
            for group, (first, inputs, said) in zip(groups.values(), seen):
                self._rows(link, group, first, inputs, said)
            if owed:
                _add(link, "lost", owed)
        with self._lock:
            self._owed -= owed
        pruned(link, self.how)
        return seen

    def _rows(
        self, link: sqlite3.Connection, group: Sequence[Offered], first: Offered, inputs: list[Feature], said: list[Feature]
    ) -> None:  # fmt: skip
        kept = [one for one in inputs if self.how.inputs and not self.how.dropped(one.name)]
        width = int(np.prod(first.told.shape[1:]))
        width = width if width <= WIDE and first.model.kind not in (*answers.PIXELS, *answers.PLACES) else 0
        key = self._key(link, first, kept, said, [one.name for one in inputs if one not in kept], width)
        columns = [one.values.astype("<f8") for one in (*kept, *said)]
        table = np.stack(columns, axis=1) if columns else np.zeros((sum(len(one.encoded) for one in group), 0))
        told = np.concatenate([one.told.reshape(len(one.told), -1) for one in group]).astype("<f4") if width else None
        lines: list[tuple[Any, ...]] = []
        for one in group:
            for row in range(len(one.encoded)):
                at = len(lines)
                lines.append(
                    (one.when, one.request, row + 1, key, table[at].tobytes(), None if told is None else told[at].tobytes())
                )
        link.executemany(
            "INSERT INTO predictions (time, request, row, model, features, told) VALUES (?, ?, ?, ?, ?, ?)", lines
        )

    def _key(
        self, link: sqlite3.Connection, first: Offered, kept: list[Feature], said: list[Feature], dropped: list[str], width: int
    ) -> int:  # fmt: skip
        model = first.model
        digest = str(model.artifact.manifest["files"]["model.onnx"]["sha256"])
        known = self._keys.get((first.name, first.version, digest))
        if known is not None:
            return known
        about = json.dumps({
            "kind": model.kind, "labels": list(model.labels), "targets": list(model.targets), "width": width, "dropped": dropped,
            "features": _names(kept), "answers": _names(said), "rule": dict(model.rule), "artifact": str(model.artifact.folder.resolve()),
        })  # fmt: skip
        row = (first.name, first.version, digest, about)
        link.execute("INSERT OR IGNORE INTO models (name, version, sha256, about) VALUES (?, ?, ?, ?)", row)
        where = "SELECT key FROM models WHERE name = ? AND version = ? AND sha256 = ? AND about = ?"
        found = self._keys[first.name, first.version, digest] = int(link.execute(where, row).fetchone()[0])
        return found


def _closed(link: sqlite3.Connection | None) -> None:
    with contextlib.suppress(sqlite3.Error):
        if link is not None:
            link.close()


def _names(features: Sequence[Feature]) -> list[Mapping[str, Any]]:
    return [{"name": one.name, "levels": list(one.levels)} for one in features]


def _counted(group: Sequence[Offered]) -> tuple[list[Feature], list[Feature]]:
    """Features of the inputs and of the answers of a model's examples, one value an example each."""
    model = group[0].model
    encoded, told = (np.concatenate([getattr(one, part) for one in group]) for part in ("encoded", "told"))
    return counted(model, encoded, told)


def counted(model: Model, encoded: NDArray[Any], told: NDArray[Any]) -> tuple[list[Feature], list[Feature]]:
    """(features of inputs, features of answers); those alone that have one value an example."""
    lengths = (encoded != 0).sum(axis=1) if model.kind in answers.PLACES else None
    targets = [str(name) for name in (model.schema["targets"] if model.kind == "forecasting" else model.targets)]
    inputs = of_input(model.schema, encoded)
    said = [] if model.kind in answers.TEXTS else of_answers(model.kind, model.labels, targets, told, lengths, model.rule)
    return (
        [one for one in inputs if len(one.values) == len(encoded)],
        [one for one in said if len(one.values) == len(encoded)],
    )


def opened(how: Recording) -> sqlite3.Connection:
    """The file to write to, made where there is none. Raises TunefulError for one that is something else, sqlite3.Error, OSError."""
    how.file.parent.mkdir(parents=True, exist_ok=True)
    if how.file.exists() and how.file.stat().st_size:
        with how.file.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":  # SQLite would write over a file of a few bytes
                raise StorageError(f"{how.file} cannot be recorded to: it is no record", "give another file with --record")
    link = sqlite3.connect(how.file, timeout=5, check_same_thread=False)
    try:
        if link.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            store.checked(how.file, link)
        else:
            link.execute(f"PRAGMA page_size={PAGE}")
            link.execute("PRAGMA auto_vacuum=INCREMENTAL")
            link.execute(f"PRAGMA application_id={store.MARK}")
            link.execute(f"PRAGMA user_version={store.FORMAT}")
        link.execute("PRAGMA journal_mode=WAL")
        link.execute("PRAGMA synchronous=NORMAL")
        link.execute("PRAGMA wal_autocheckpoint=250")
        link.execute(f"PRAGMA journal_size_limit={1 << 22}")
        link.execute(f"PRAGMA max_page_count={-(-how.size // PAGE)}")
        with link:
            link.executescript(store.TABLES)
            link.execute(
                "INSERT INTO facts VALUES ('share', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (how.share,)
            )
    except BaseException:
        link.close()
        raise
    return link


def usable(how: Recording) -> None:
    """Raises TunefulError unless the file can be written to; asked before serving begins."""
    try:
        opened(how).close()
    except (sqlite3.Error, OSError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StorageError(f"{how.file} cannot be recorded to: {why}", "give another file with --record") from None


def pruned(link: sqlite3.Connection, how: Recording) -> None:
    """Let what is too old go, and the oldest tenth where the file is nearly as large as it may be."""
    with link:
        removed = link.execute("DELETE FROM predictions WHERE time < ?", (time.time() - 86400 * how.days,)).rowcount
        used = link.execute("PRAGMA page_count").fetchone()[0] - link.execute("PRAGMA freelist_count").fetchone()[0]
        if used * PAGE > 0.8 * how.size:
            low, high = link.execute("SELECT min(key), max(key) FROM predictions").fetchone()
            if low is not None:
                removed += link.execute("DELETE FROM predictions WHERE key <= ?", (low + (high - low) // 10,)).rowcount
        if removed:
            _add(link, "removed", removed)
    if removed:
        link.execute("PRAGMA incremental_vacuum").fetchall()


def _add(link: sqlite3.Connection, fact: str, count: int) -> None:
    link.execute(
        "INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value", (fact, count)
    )


__all__ = ["Offered", "Recorder", "counted", "opened", "pruned", "usable"]
