"""JSON Lines that do not fit into memory: looked through once for their columns, then converted, once, to columns on disk.

A line is an object whose keys are columns, as `text_json` reads it: numbers stay numbers, everything else is text.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tuneful.core.errors import DataError
from tuneful.techniques.sources.raw import Stored, allowed, packed, unpacked
from tuneful.techniques.sources.stored import Spill, piece

if TYPE_CHECKING:
    import polars as pl

PARSED, PACKED = 6, 10  # times its size, that a file takes when it is parsed at once; and that gzip may unpack it to
MOST, LEAST = 1 << 24, 1 << 20  # letters that are converted together


def large(path: Path) -> bool:
    """Would all of it take more memory than data may?"""
    return float(path.stat().st_size) * (PACKED if packed(path) else 1) * PARSED > allowed()


def table(path: Path) -> Stored:
    """The lines of a file as a table on disk. Raises DataError that names the line at fault."""
    import polars as pl

    kinds: dict[str, set[type]] = {}
    for number, row, _ in _objects(path):
        for name, value in row.items():
            if not isinstance(value, str | int | float | bool | None):
                raise DataError(
                    f'{path}: "{name}" of entry {number} is {type(value).__name__}; text, a number or true/false is wanted',
                    "take it out of the objects",
                )
            kinds.setdefault(name, set()).add(type(value))
    if not kinds:
        raise DataError(f"{path} holds no list of examples; a line for each, such as {{...}}, is wanted")
    schema = pl.Schema({name: _type(found - {type(None)}) for name, found in kinds.items()})
    size = int(min(MOST, max(LEAST, allowed() / 50)))
    spill = Spill()
    frames: list[tuple[pl.LazyFrame, int]] = []
    rows: list[Mapping[str, Any]] = []
    letters = step = 0
    for _, row, long in _objects(path):
        rows.append(row)
        letters += long
        if letters >= size:
            frames.append(spill.add(_frame(rows, schema), len(frames)))
            rows, letters = [], 0
    if rows:
        frames.append(spill.add(_frame(rows, schema), len(frames)))
    step = piece(frames[0][0].head(10_000).collect())
    return Stored(tuple(frames), schema, str(path), step, holds=spill)


def _type(found: set[type]) -> Any:
    import polars as pl

    if found == {int}:
        return pl.Int64()
    return pl.Float64() if found and found <= {int, float} else pl.String()


def _frame(rows: list[Mapping[str, Any]], schema: pl.Schema) -> pl.DataFrame:
    import polars as pl

    columns: dict[str, list[Any]] = {}
    for name, kind in schema.items():
        values = [row.get(name) for row in rows]
        columns[name] = [None if v is None else str(v).strip() for v in values] if kind == pl.String() else values
    return pl.DataFrame(columns, schema=schema, strict=False)


def _objects(path: Path) -> Iterator[tuple[int, Mapping[str, Any], int]]:
    """(number among the entries, the object, letters of its line) of every line that is not blank."""
    entry = 0
    try:
        with io.TextIOWrapper(unpacked(path), encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                entry += 1
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{path}: line {number} is no JSON ({str(error)[:100]})", "is the file whole?") from None
                if not isinstance(row, dict):
                    raise DataError(
                        f"{path}: line {number} is no object; of lines that do not fit into memory objects are wanted, such as "
                        '{"text": ..., "label": ...}'
                    )
                yield entry, cast("Mapping[str, Any]", row), len(line)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason})", "save the file as UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{path} is a damaged or truncated gzip file", "copy or download it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
