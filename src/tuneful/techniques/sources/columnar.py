"""Parquet and Arrow files (Feather is Arrow's file format): one, or several that are one table; in memory where they fit.

What does not fit stays where it is: columns and row groups are read when they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuneful.core.errors import DataError
from tuneful.techniques.sources.raw import Stored, Table, allowed, guard, head
from tuneful.techniques.sources.stored import needed, piece, told

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".parquet", ".pq", ".arrow", ".feather", ".ipc", ".arrows")
_SEEN = 10_000  # rows by which the rest is judged
_STREAM = b"\xff\xff\xff\xff"  # how a stream of Arrow begins, which has no table of contents


def is_columnar(path: Path) -> bool:
    """Is it a file of columns, by its first bytes?"""
    try:
        start = head(path)
    except DataError:
        return False
    return start[:4] == b"PAR1" or start[:6] == b"ARROW1" or (path.suffix.lower() in SUFFIXES and _is_arrow(start))


def _is_arrow(start: bytes) -> bool:
    return start[:4] in (_STREAM, b"FEA1")


def read(paths: Sequence[Path]) -> Table | Stored:
    """Files with the same columns as one table, in their order. Raises DataError."""
    import polars as pl

    scans: list[tuple[pl.LazyFrame, int]] = []
    schema = pl.Schema()
    for path in paths:
        frame = _scanned(path)
        with told(_broken(path)):
            found = frame.collect_schema()
            rows = int(frame.select(pl.len()).collect().item())
        if scans:
            _agree(schema, found, paths[0], path)
        else:
            schema = found
        scans.append((frame.select(schema.names()), rows))
    where = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
    height = sum(rows for _, rows in scans)
    own = expressions(schema, where)
    with told(_broken(paths[0])):
        sample = scans[0][0].head(min(_SEEN, scans[0][1])).collect().select(own)
    size = needed(sample, height)
    if size <= allowed():
        frames: list[pl.DataFrame] = []
        for path, (frame, _) in zip(paths, scans, strict=True):
            with told(_broken(path)):
                frames.append(frame.collect())
        return Table(pl.concat(frames).select(own), where)
    scans = [(frame.select(own), rows) for frame, rows in scans]
    return Stored(tuple(scans), sample.schema, where, piece(sample))


def _scanned(path: Path) -> pl.LazyFrame:
    """A file as an unread frame. A stream of Arrow must be read at once; the old Feather format not at all."""
    import polars as pl

    start = head(path)
    if start[:4] == b"FEA1":
        raise DataError(f"{path} is of the first version of Feather, which is no Arrow file", "write it again, as Feather 2")
    if start[:4] == _STREAM:
        guard(3.0 * path.stat().st_size, f"{path}, a stream of Arrow, which can only be read at once,")
        with told(_broken(path)):
            return pl.read_ipc_stream(path).lazy()
    return pl.scan_parquet(path, glob=False) if start[:4] == b"PAR1" else pl.scan_ipc(path, glob=False)


def _broken(path: Path) -> str:
    return f"{path} is not a whole {'Parquet' if head(path)[:4] == b'PAR1' else 'Arrow'} file"


def _agree(first: pl.Schema, other: pl.Schema, path: Path, another: Path) -> None:
    """Raises DataError when two files have not the same columns."""
    if odd := sorted(set(first) ^ set(other)):
        raise DataError(
            f'{another.name} and {path.name} differ in column "{odd[0]}"; files of one table need the same columns',
            "give the files apart, or name them train, valid and test",
        )
    if name := next((name for name in first if first[name] != other[name]), ""):
        raise DataError(
            f'column "{name}" is of type {other[name]} in {another.name} and of type {first[name]} in {path.name}; '
            "files of one table need the same types",
            "write one of them again",
        )


def expressions(schema: Mapping[str, pl.DataType], where: str) -> list[pl.Expr]:
    """Columns as they are learned from: numbers, and everything else as text; others (lists, bytes) are refused."""
    import polars as pl

    kept: list[pl.Expr] = []
    for name, dtype in schema.items():
        if dtype.is_decimal():
            kept.append(pl.col(name).cast(pl.Float64))
        elif dtype.is_numeric() or dtype == pl.String or (isinstance(dtype, pl.List) and dtype.inner == pl.String):
            kept.append(pl.col(name))
        elif dtype == pl.Boolean:
            kept.append(
                pl.when(pl.col(name)).then(pl.lit("True")).when(pl.col(name).not_()).then(pl.lit("False")).alias(name)
            )
        elif dtype == pl.Date or isinstance(dtype, pl.Datetime):
            kept.append(pl.col(name).dt.to_string("iso").str.slice(0, 19))
        elif dtype == pl.Null or dtype == pl.Categorical or isinstance(dtype, pl.Enum):
            kept.append(pl.col(name).cast(pl.String))
        else:
            raise DataError(
                f'{where}: column "{name}" is of type {dtype}; numbers, text, dates or true/false are wanted',
                "take the column out or turn it into one of these",
            )
    return kept
