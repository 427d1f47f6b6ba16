"""States of trials in the database of their study, so that a trial that was begun on one machine goes on on another.

    depot = beside(url, study)                     # None where the study is a file: then the states lie in the folder beside it
    depot.put(3, step, path)
    depot.get(3, path, have=step)                  # the file at `path` is now the newest that anybody has put there

A state is a file that bears a digest (`pipeline.state`); here it is bytes, in a table of our own beside Optuna's. What is larger than
`LARGEST` stays where it is: elsewhere such a trial is trained anew, to the same bits.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

from tuneful.core.errors import StorageError

LARGEST = 500_000_000  # bytes; a field of PostgreSQL's holds twice as many
TABLE = """CREATE TABLE IF NOT EXISTS tuneful_states
    (study bigint, trial bigint, step bigint, data bytea, PRIMARY KEY (study, trial))"""


class Depot:
    """url: of the database; study: its number in it."""

    def __init__(self, url: str, study: int) -> None:
        self.url, self.study = url, study
        self._held: Any = None

    def put(self, trial: int, step: int, path: Path) -> None:
        """Keep the state at this step, unless a later one is there. Raises StorageError."""
        if path.stat().st_size <= LARGEST:
            self._done(
                "INSERT INTO tuneful_states VALUES (%s, %s, %s, %s) ON CONFLICT (study, trial) DO UPDATE "
                "SET step = EXCLUDED.step, data = EXCLUDED.data WHERE tuneful_states.step < EXCLUDED.step",
                (self.study, trial, step, path.read_bytes()),
            )

    def get(self, trial: int, path: Path, have: int) -> None:
        """Write the kept state to `path`, where it is of a later step than `have` (-1: there is none). Raises StorageError."""
        row = self._done(
            "SELECT data FROM tuneful_states WHERE study = %s AND trial = %s AND step > %s", (self.study, trial, have)
        ).fetchone()
        if row is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{path.name}.got{os.getpid()}")
            aside.write_bytes(row[0])
            os.replace(aside, path)

    def drop(self, trial: int) -> None:
        """Throw a state away. Raises StorageError."""
        self._done("DELETE FROM tuneful_states WHERE study = %s AND trial = %s", (self.study, trial))

    def _done(self, what: str, values: tuple[Any, ...]) -> Any:
        import psycopg

        for last in (False, True):
            try:
                if self._held is None or self._held.closed:
                    self._held = psycopg.connect("postgresql://" + self.url.partition("://")[2], autocommit=True)
                    weakref.finalize(self, self._held.close)
                    self._held.execute(TABLE)
                return self._held.execute(what, values)
            except psycopg.Error as error:
                if self._held is not None:
                    self._held.close()
                if last:
                    raise StorageError(
                        f"a state cannot be kept in the database of the study ({str(error).splitlines()[0]})",
                        "see that it runs and may be written; the same command goes on, and nothing is lost",
                    ) from error
        return None


def beside(url: str, study: int) -> Depot | None:
    """The depot of a study, where its storage is a PostgreSQL database."""
    return Depot(url, study) if url.startswith("postgresql") else None


__all__ = ["Depot", "beside"]
