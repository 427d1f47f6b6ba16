"""Tables: CSV and TSV (with , ; tab or | between the cells, plain or .gz), Parquet, and data frames from Python.

A text file is read as text: what its columns mean is decided by `pipeline.columns` on the train split alone.
"""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.raw import Raw, Source, Table, by_split, content, files_in, guard, head

if TYPE_CHECKING:
    import polars as pl

_SUFFIXES = (".csv", ".tsv", ".tab", ".parquet", ".pq")


class TableFile(Source):
    kind: Literal["table"] = "table"
    source: ClassVar[str] = "RFC 4180 (CSV); Apache Parquet; read by polars"
    cost: ClassVar[str] = "the unpacked text, in memory"

    def accepts(self, given: object) -> bool:
        if _is_frame(given):
            return True
        if isinstance(given, Path) and given.is_file():
            return _is_parquet(given) or _is_text(given)
        return any(True for _ in files_in(given, _named_table))

    def read(self, given: Any) -> Raw:
        if not isinstance(given, Path):
            frame = _from_frame(given)
            return Raw({"train": Table(frame, "the data frame")}, f"a data frame with {frame.height} rows", "table")
        findings: list[Finding] = []
        paths = by_split(list(files_in(given, _named_table)), "tables") if given.is_dir() else {"train": given}
        parts = {split: _read(path, findings) for split, path in paths.items()}
        names = parts["train"].frame.columns
        for split, part in parts.items():
            if set(part.frame.columns) != set(names):
                odd = sorted(set(part.frame.columns) ^ set(names))
                raise DataError(
                    f'{paths[split].name} and {paths["train"].name} differ in column "{odd[0]}"; both need the same'
                )
        rows = " and ".join(f"{part.frame.height} {split} rows" for split, part in parts.items())
        what = f"a table ({', '.join(path.name for path in paths.values())}) with {len(names)} columns and {rows}"
        stem = given.name if given.is_dir() else given.name.split(".")[0]
        return Raw(parts, what, stem, tuple(findings))


def _named_table(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(_SUFFIXES)


def _is_parquet(path: Path) -> bool:
    return _start(path)[:4] == b"PAR1"


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


def _read(path: Path, findings: list[Finding]) -> Table:
    if _is_parquet(path):
        return Table(plain(_parquet(path), path.name), path.name)
    return _text(path, findings)


def _parquet(path: Path) -> pl.DataFrame:
    import polars as pl

    try:
        lazy = pl.scan_parquet(path)
        width = len(lazy.collect_schema())
        rows = int(lazy.select(pl.len()).collect().item())
        guard(16.0 * width * rows, str(path))
        return lazy.collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise DataError(f"{path} is not a whole Parquet file: {_first(error)}", "write it again") from None


def plain(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """Numbers as float64 or integers, everything else as text; columns that are neither (lists, bytes) are refused."""
    import polars as pl

    kept: list[pl.Expr] = []
    for name, dtype in frame.schema.items():
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
    return frame.select(kept)


def _text(path: Path, findings: list[Finding]) -> Table:
    import polars as pl

    text = _decoded(path, content(path), findings)
    if not text.strip():
        raise DataError(f"{path} is empty; a header line and at least a few rows are wanted")
    first = text.partition("\n")[0]
    by = max(",;\t|", key=first.count)
    if not first.count(by):
        raise DataError(
            f"{path}: line 1 has one field only ({first[:60]!r}); a table needs a target and at least one other column",
            "part the cells by comma, semicolon, tab or |",
        )
    names = _header(path, text, by)
    blank = _lengths(path, text, by, len(names))
    if blank:
        findings.append(Finding("note", f"{path.name}: blank lines are left out", blank, text.count("\n") + 1))
        text = "\n".join(line for line in text.split("\n") if line.strip("\r"))
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), separator=by, infer_schema=False, new_columns=names, quote_char='"')
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"{path} cannot be read as a table: {_first(error)}", "are quotes closed in every line?") from None
    if frame.height == 0:
        raise DataError(f"{path} holds a header and no rows; at least a few rows are wanted")
    return Table(frame.with_columns(pl.all().str.strip_chars()), path.name, semicolons=by == ";")


def _decoded(path: Path, raw: bytes, findings: list[Finding]) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        findings.append(Finding("note", f"{path.name} is UTF-16 and was read as such", 1, 1))
        try:
            return raw.decode("utf-16").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise DataError(f"{path} begins like UTF-16 text and is not", "save it as UTF-8") from None
    if raw[:3] == b"\xef\xbb\xbf":
        findings.append(Finding("note", f"{path.name} begins with a byte order mark, which was left out", 1, 1))
    if b"\0" in raw[: 1 << 16]:
        raise DataError(f"{path} holds zero bytes and is no text table", "give a CSV, TSV or Parquet file")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: line {line} holds the byte 0x{raw[error.start]:02x}, which is not UTF-8; it may be Latin-1 or Windows-1252",
            f"convert it: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8.csv (the file must be plain, not .gz)",
        ) from None


def _header(path: Path, text: str, by: str) -> list[str]:
    try:
        names = [name.strip() for name in next(csv.reader(io.StringIO(text), delimiter=by))]
    except (csv.Error, StopIteration) as error:
        raise DataError(f"{path}: line 1 cannot be read as a header: {error}") from None
    names = [name or f"column {number}" for number, name in enumerate(names, start=1)]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise DataError(
                f'{path}: line 1 has the column name "{name}" twice (columns {names.index(name) + 1} and {number + 1}); '
                "names must differ",
                "rename or remove one of them",
            )
    if all(_number(name) for name in names):
        raise DataError(
            f"{path}: line 1 holds numbers ({', '.join(names[:4])}) where the names of the columns must be",
            "add a header line",
        )
    return names


def _lengths(path: Path, text: str, by: str, width: int) -> int:
    """Raises DataError at the first line that has not `width` fields. Returns how many blank lines there are."""
    blank = 0
    if '"' not in text:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.count(by) != width - 1:
                if line.strip():
                    raise _ragged(path, number, line.count(by) + 1, width)
                blank += 1
        return blank - text.endswith("\n") if blank else 0
    reader = csv.reader(io.StringIO(text), delimiter=by)
    start = 1
    try:
        for row in reader:
            if len(row) != width:
                if row:
                    raise _ragged(path, start, len(row), width)
                blank += 1
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: line {start} cannot be read: {error}", "is a quote left open?") from None
    return blank


def _ragged(path: Path, line: int, met: int, width: int) -> DataError:
    return DataError(
        f"{path}: line {line} has {met} field{'s' if met != 1 else ''}; the header has {width}",
        "mend the line, or put quotes around cells that hold the separator",
    )


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
