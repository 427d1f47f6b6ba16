"""The file of recorded predictions: SQLite, one row an example, opened with distrust.

    models        key, name, version, sha256 of the network, about: JSON {"kind", "labels", "targets", "features": [{"name", "levels"}],
                  "answers": [the same], "width", "dropped", "artifact"}
    predictions   key, time (UTC seconds), request (its id), row (in the request, from 1), model (a key), features (float64 each,
                  NaN where missing, codes of categories), told (float32 each; NULL where an example has many)
    facts         name, value: share; lost (not recorded: full queue or disk); removed (for want of room)

Whoever reads treats the file as foreign: its mark, its tables and the size of every blob are looked at before they are used.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import StorageError, TunefulError

MARK, FORMAT = 0x74756E65, 1  # "tune"
LONGEST = 200  # letters of a request's id that are kept
MOST = 2_000_000  # rows that are read, the newest
_NUMBERS = 200_000_000  # and in all
TABLES = """
CREATE TABLE IF NOT EXISTS models (key INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, sha256 TEXT NOT NULL, about TEXT NOT NULL,
    UNIQUE (name, version, sha256, about));
CREATE TABLE IF NOT EXISTS predictions (key INTEGER PRIMARY KEY, time REAL NOT NULL, request TEXT NOT NULL, row INTEGER NOT NULL, model INTEGER NOT NULL,
    features BLOB NOT NULL, told BLOB);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value REAL NOT NULL);
"""
_AGAIN = "give the file that `tuneful serve --record FILE` writes"


@dataclass(frozen=True)
class Recorded:
    """What was recorded of one version of one model, in the order of time.

    features, answers: (name, levels) of each column of `counted` [N, F + A]; told [N, W] or None; requests and rows name the examples.
    """

    name: str
    version: str
    sha256: str
    about: Mapping[str, Any]
    times: NDArray[np.float64]
    requests: list[str]
    rows: NDArray[np.int64]
    counted: NDArray[np.float64]
    told: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.times)


def read(file: Path) -> tuple[list[Recorded], dict[str, float]]:
    """(what was recorded of each version, facts). Raises TunefulError that says what is wrong with the file."""
    with opened(file) as link:
        facts = {str(name): float(value) for name, value in link.execute("SELECT name, value FROM facts LIMIT 100")}
        models = link.execute("SELECT key, name, version, sha256, about FROM models ORDER BY key LIMIT 1000").fetchall()
        found: list[Recorded] = []
        for key, name, version, sha256, about in models:
            one = _version(file, link, key, str(name), str(version), str(sha256), about)
            if len(one):
                found.append(one)
    return found, facts


@contextlib.contextmanager
def opened(file: Path) -> Generator[sqlite3.Connection]:
    """A record to read. Raises TunefulError unless it is one."""
    if not file.is_file():
        raise TunefulError(f"there is no record {file}", _AGAIN)
    link = None
    try:
        link = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
        link.execute("PRAGMA trusted_schema=OFF")
        link.execute("PRAGMA cell_size_check=ON")
        checked(file, link)
        yield link
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        raise StorageError(f"{file} cannot be read as a record ({error})", _AGAIN) from None
    finally:
        if link is not None:
            link.close()


def checked(file: Path, link: sqlite3.Connection) -> None:
    """Raises TunefulError for a database that is no record, or a newer one."""
    mark, number = (link.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if mark != MARK:
        raise TunefulError(f"{file} is a database, but not a record of predictions", _AGAIN)
    if number > FORMAT:
        raise TunefulError(
            f"{file} has format {number}; this tuneful reads formats up to {FORMAT}", "pip install --upgrade tuneful"
        )


def _version(file: Path, link: sqlite3.Connection, key: int, name: str, version: str, sha256: str, text: Any) -> Recorded:
    try:
        about = json.loads(text)
        columns = [*about["features"], *about["answers"]]
        for column in columns:
            if not isinstance(column["name"], str) or not all(isinstance(level, str) for level in column["levels"]):
                raise TypeError("a column is not as it is written")
        labels, width, kind = list(about["labels"]), int(about["width"]), str(about["kind"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise StorageError(f"{file}: what it tells of model {name[:60]!r} is damaged ({error!r})", _AGAIN) from None
    most = max(1, min(MOST, _NUMBERS // max(1, len(columns) + width)))
    rows = link.execute(
        "SELECT time, request, row, features, told FROM predictions WHERE model = ? AND typeof(time) = 'real' AND length(features) = ? "
        "AND (told IS NULL OR length(told) = ?) ORDER BY time DESC, key DESC LIMIT ?", (key, 8 * len(columns), 4 * width, most),
    ).fetchall()[::-1]  # fmt: skip
    times = np.array([row[0] for row in rows], dtype=np.float64)
    counted = np.frombuffer(b"".join(row[3] for row in rows), dtype="<f8").reshape(len(rows), len(columns))
    whole = bool(rows) and width > 0 and all(row[4] is not None for row in rows)
    told = np.frombuffer(b"".join(row[4] for row in rows), dtype="<f4").reshape(len(rows), width) if whole else None
    fine = np.isfinite(times)
    return Recorded(
        name, version, sha256, cast("Mapping[str, Any]", {**about, "kind": kind, "labels": [str(label) for label in labels]}), times[fine],
        [str(row[1]) for row, good in zip(rows, fine) if good], np.array([int(row[2]) for row in rows], dtype=np.int64)[fine],
        counted[fine], None if told is None else told[fine].astype(np.float64),
    )  # fmt: skip


__all__ = ["FORMAT", "LONGEST", "MARK", "MOST", "TABLES", "Recorded", "checked", "opened", "read"]
