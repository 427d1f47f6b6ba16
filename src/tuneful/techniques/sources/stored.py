"""Tables on disk: whole columns or stretches of rows, read when they are asked for; and room on a disk for what is converted.

    column(table, "price")            one column, whole
    for frame in stretches(table, names): ...      some rows after others, in their order

Of Parquet and Arrow files only the columns asked for are read, and of these only the row groups that hold the rows.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneful.core.errors import DataError
from tuneful.techniques.sources.raw import Stored, Table, allowed, gigabytes, guard

if TYPE_CHECKING:
    import polars as pl

LEAST_ROWS, MOST_ROWS = 1024, 65_536  # that are looked at together
LEVELS = 51  # features that a column of text may become
KEPT = 120  # bytes of a row that are kept in memory whatever it holds: its target, its number, its print, its place
_SHARE = 1 / 20  # of the memory that is allowed, for the rows that are looked at together


def needed(sample: pl.DataFrame, rows: int) -> float:
    """Bytes of memory that reading and encoding so many rows like these takes at the most."""
    import polars as pl

    if not sample.height:
        return float(KEPT * rows)
    each = float(KEPT)
    for series in sample:
        if series.dtype != pl.String:
            each += 24
            continue
        each += 2 * series.estimated_size() / sample.height
        number = series.cast(pl.Float64, strict=False).null_count() <= series.null_count() + 0.1 * sample.height
        each += 24 if number else 8 * min(LEVELS, series.n_unique())
    return each * rows


def piece(sample: pl.DataFrame) -> int:
    """How many rows like these may be looked at together."""
    import polars as pl

    text = sum(series.estimated_size() for series in sample if series.dtype == pl.String)
    size = 3 * sample.estimated_size() + 7 * text  # text is looked at as Python's own objects
    return int(min(MOST_ROWS, max(LEAST_ROWS, _SHARE * min(allowed(), 1e12) * sample.height / max(1, size))))


def column(table: Stored, name: str) -> pl.Series:
    """One column of all rows. Raises DataError when a file is damaged."""
    return columns(table, [name])[name]


def columns(table: Stored, names: Sequence[str]) -> pl.DataFrame:
    """Some columns of all rows. Raises DataError when a file is damaged."""
    import polars as pl

    with told(f"{table.where} cannot be read to its end"):
        return pl.concat([frame.select(names).collect() for frame, _ in table.frames])


def stretches(table: Stored, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    """All rows, some after others. Raises DataError when a file is damaged."""
    for frame, rows in table.frames:
        chosen = frame.select(names)
        for start in range(0, rows, table.piece):
            with told(f"{table.where} cannot be read to its end"):
                found = chosen.slice(start, table.piece).collect()
            yield found


def whole(table: Stored) -> Table:
    """A table on disk, read into memory. Raises DataError when it does not fit."""
    guard(needed(next(stretches(table, table.schema.names())), table.height), f"{table.where}, which must be read at once,")
    return Table(columns(table, table.schema.names()), table.where, table.semicolons)


def of(table: Table) -> Stored:
    """A table in memory in the face of one on disk."""
    frame = table.frame
    return Stored(((frame.lazy(), frame.height),), frame.schema, table.where, piece(frame.head(10_000)), table.semicolons)


@contextlib.contextmanager
def told(what: str) -> Generator[None]:
    """Errors of polars as ours: `what` is wrong, and what polars says of it."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise DataError(f"{what}: {first}", "write it again") from None


# Room on a disk


def place() -> str:
    """Where large files are made: $TMPDIR where it is set, else a folder for temporary files that is no memory in disguise."""
    usual = "/var/tmp"
    if not os.environ.get("TMPDIR") and os.path.isdir(usual) and os.access(usual, os.W_OK):
        return usual
    return tempfile.gettempdir()


def room(size: float, what: str) -> None:
    """Raises DataError when the disk has not so many bytes left."""
    left = shutil.disk_usage(place()).free
    if size > left:
        raise DataError(
            f"{what} needs {gigabytes(size)} in {place()}, and {gigabytes(left)} are free there",
            "make room, or give another place with TMPDIR=FOLDER",
        )


class Spill:
    """A folder for a table that was converted, gone with its last user.

    A process that is killed cannot tidy up: its folder, which nobody holds locked any more, goes when the next one is made.
    """

    def __init__(self) -> None:
        import fcntl

        _sweep(Path(place()))
        self.folder = Path(tempfile.mkdtemp(prefix="tuneful-", dir=place()))
        # Locked under another name first, so that nobody finds a lock that is not held yet.
        lock = (self.folder / "new").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.replace(self.folder / "new", self.folder / "lock")
        weakref.finalize(self, _gone, self.folder, lock)

    def add(self, frame: pl.DataFrame, number: int) -> tuple[pl.LazyFrame, int]:
        """The rows of a frame as a file, unread. Raises DataError when the disk is full."""
        import polars as pl

        room(2 * frame.estimated_size(), "the table, converted,")
        path = self.folder / f"{number:06}.parquet"
        with told(f"a table cannot be converted to {path}"):
            frame.write_parquet(path, compression="lz4", statistics=False)
        return pl.scan_parquet(path), frame.height


def _gone(folder: Path, lock: Any) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.close()


def _sweep(root: Path) -> None:
    """Remove the folders of processes that are gone."""
    import fcntl

    for lock in root.glob("tuneful-*/lock"):
        with contextlib.suppress(OSError), lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an OSError: somebody holds it
            shutil.rmtree(lock.parent, ignore_errors=True)
