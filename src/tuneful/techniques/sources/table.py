"""Tables: CSV and TSV (with , ; tab or | between the cells, plain or .gz), Parquet, Arrow, and data frames from Python.

A text file is read as text: what its columns mean is decided by `pipeline.columns` on the train split alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources import columnar, delimited, stored
from tuneful.techniques.sources.raw import Raw, Source, Stored, Table, by_split, files_in, head, split_of

if TYPE_CHECKING:
    import polars as pl

_SUFFIXES = (".csv", ".tsv", ".tab", *columnar.SUFFIXES)


class TableFile(Source):
    kind: Literal["table"] = "table"
    source: ClassVar[str] = "RFC 4180 (CSV); Apache Parquet and Arrow; read by polars"
    cost: ClassVar[str] = "what is read, in memory; on disk where it would not fit"

    def accepts(self, given: object) -> bool:
        if _is_frame(given):
            return True
        if isinstance(given, Path) and given.is_file():
            return columnar.is_columnar(given) or _is_text(given)
        return any(True for _ in files_in(given, _named_table))

    def read(self, given: Any) -> Raw:
        if not isinstance(given, Path):
            frame = _from_frame(given)
            return Raw({"train": Table(frame, "the data frame")}, f"a data frame with {frame.height} rows", "table")
        findings: list[Finding] = []
        groups = _groups(list(files_in(given, _named_table))) if given.is_dir() else {"train": [given]}
        parts = {split: _read(paths, findings) for split, paths in groups.items()}
        names = _names(parts["train"])
        for part in parts.values():
            if set(_names(part)) != set(names):
                odd = sorted(set(_names(part)) ^ set(names))
                raise DataError(f'{part.where} and {parts["train"].where} differ in column "{odd[0]}"; both need the same')
        if any(isinstance(part, Stored) for part in parts.values()):  # all in one way
            parts = {split: stored.of(part) if isinstance(part, Table) else part for split, part in parts.items()}
        rows = " and ".join(f"{_rows(part)} {split} rows" for split, part in parts.items())
        what = f"a table ({', '.join(part.where for part in parts.values())}) with {len(names)} columns and {rows}"
        stem = given.name if given.is_dir() else given.name.split(".")[0]
        return Raw(cast("Any", parts), what, stem, tuple(findings))


def _named_table(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(_SUFFIXES)


def _is_text(path: Path) -> bool:
    if _named_table(path):
        return True
    start = _start(path)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return bool(start) and b"\0" not in start and start[:1] not in (b"\x89", b"\xff", b"{", b"<", b"%", b"\x93")


def _start(path: Path) -> bytes:
    try:
        return head(path)
    except DataError:
        return b""


def _is_frame(given: object) -> bool:
    for package in ("polars", "pandas"):
        module = sys.modules.get(package)
        if module is not None and isinstance(given, module.DataFrame):
            return True
    return False


def _from_frame(given: Any) -> pl.DataFrame:
    import polars as pl

    if isinstance(given, pl.DataFrame):
        return plain(given, "the data frame")
    names = [str(name) for name in given.columns]
    if twice := next((name for number, name in enumerate(names) if name in names[:number]), None):
        raise DataError(f'the data frame has the column "{twice}" twice; names must differ', "rename or remove one of them")
    columns = {name: _cells(given[own]) for name, own in zip(names, given.columns)}
    return plain(pl.DataFrame(columns, strict=False), "the data frame")


def _cells(column: Any) -> list[Any]:
    """A column of pandas as a list, with None for each of its ways to say that there is no value (NaN, NaT, NA)."""
    return [cell if there else None for cell, there in zip(column.tolist(), column.notna().tolist())]


def _read(paths: Sequence[Path], findings: list[Finding]) -> Table | Stored:
    return columnar.read(paths) if columnar.is_columnar(paths[0]) else delimited.read(paths[0], findings)


def _groups(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Files by split. Several files of columns (Parquet, Arrow) are one table, or one for each split that they are named after."""
    splits = [split_of(path.name) for path in paths]
    if len(paths) > 1 and all(columnar.is_columnar(path) for path in paths) and len({bool(split) for split in splits}) == 1:
        found = {s: [path for path, own in zip(paths, splits) if (own or "train") == s] for s in ("train", "valid", "test")}
        if found["train"]:
            return {split: several for split, several in found.items() if several}
    return {split: [path] for split, path in by_split(list(paths), "tables").items()}


def plain(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """Numbers as float64 or integers, everything else as text; columns that are neither (lists, bytes) are refused."""
    return frame.select(columnar.expressions(frame.schema, where))


def _names(table: Table | Stored) -> list[str]:
    return table.frame.columns if isinstance(table, Table) else table.schema.names()


def _rows(table: Table | Stored) -> int:
    return table.frame.height if isinstance(table, Table) else table.height
