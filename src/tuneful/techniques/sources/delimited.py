"""CSV and TSV files (with , ; tab or | between the cells, plain or .gz), in pieces of whole lines.

The cells stay text, stripped. Pieces are gathered in memory; as soon as they would not fit, those gathered and all that follow
are converted, once, to columns on disk. A record ends where Python's csv module says so, so that a cell may hold lines.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.raw import Stored, Table, allowed, head, unpacked
from tuneful.techniques.sources.stored import Spill, needed, piece

if TYPE_CHECKING:
    import polars as pl

MOST = 1 << 24  # letters that are read at once
_LEAST = 1 << 20


def read(path: Path, findings: list[Finding]) -> Table | Stored:
    """A text file as a table, in memory where it fits. Raises DataError that names the line at fault."""
    import polars as pl

    _encoding(path, findings)
    most = allowed()
    size = int(min(MOST, max(_LEAST, most / 50)))
    names: list[str] = []
    by, blank, lines, rows, each, step = ",", 0, 0, 0, 0.0, 0
    frames: list[pl.DataFrame] = []
    spill: Spill | None = None
    stored: list[tuple[pl.LazyFrame, int]] = []
    for text, first in records(path, size):
        start = text
        if not names:
            by, names = _head(path, text)
            start = text.partition("\n")[2] if '"' not in text.partition("\n")[0] else _after_header(text, by)
        skipped = text.count("\n", 0, len(text) - len(start))
        found = _lengths(path, start, by, len(names), first + skipped)
        lines += text.count("\n")
        if found:
            blank += found
            start = "\n".join(line for line in start.split("\n") if line.strip("\r"))
        if not start.strip("\n"):
            continue
        frame = _parsed(path, start, by, names)
        rows += frame.height
        if not each:
            each, step = needed(frame.head(10_000), 1), piece(frame.head(10_000))
        if spill is None and each * rows > most:
            spill = Spill()
            stored = [spill.add(one, number) for number, one in enumerate(frames)]
            frames = []
        if spill is None:
            frames.append(frame)
        else:
            stored.append(spill.add(frame, len(stored)))
    if not names:
        raise DataError(f"{path} is empty; a header line and at least a few rows are wanted")
    if blank:
        findings.append(Finding("note", f"{path.name}: blank lines are left out", blank, lines + 1))
    if not rows:
        raise DataError(f"{path} holds a header and no rows; at least a few rows are wanted")
    if spill is None:
        return Table(pl.concat(frames), path.name, semicolons=by == ";")
    schema = pl.Schema(dict.fromkeys(names, pl.String))
    return Stored(tuple(stored), schema, path.name, step, by == ";", spill)


def records(path: Path, size: int) -> Iterator[tuple[str, int]]:
    """Pieces of about so many letters that end where a record ends, each with the number of the line on which it begins.

    Raises: DataError for a damaged archive and for bytes that are no text of the encoding, naming the line.
    """
    rest, line = "", 1
    try:
        with _opened(path) as file:
            while piece := file.read(size):
                text = rest + piece
                end = _whole(text)
                rest = text[end:]
                if end:
                    yield text[:end], line
                    line += text.count("\n", 0, end)
    except UnicodeDecodeError as error:
        raise _not_text(path, error) from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{path} is a damaged or truncated gzip file", "copy or download it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    if rest:
        yield rest, line


def _opened(path: Path) -> IO[str]:
    start = head(path)
    encoding = "utf-16" if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return io.TextIOWrapper(unpacked(path), encoding=encoding, newline=None)


def _whole(text: str) -> int:
    """Where the last record ends that surely is whole: behind a line's end that no quotes hold open."""
    if '"' not in text:
        return text.rfind("\n") + 1
    lines = text.split("\n")[:-1]
    first = next((line for line in lines if line), "")
    reader = csv.reader((line + "\n" for line in lines), delimiter=_by(first))
    before = ended = 0
    try:
        for _ in reader:
            before, ended = ended, reader.line_num
    except csv.Error:
        return text.rfind("\n") + 1  # the check of lengths tells what is wrong, and where
    # The last record may go on: it is whole only when more lines followed it.
    return sum(len(line) + 1 for line in lines[:before])


def _encoding(path: Path, findings: list[Finding]) -> None:
    """Tell the encoding where it is not the usual one. Raises DataError for what is no text."""
    start = head(path, 1 << 16)
    if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        findings.append(Finding("note", f"{path.name} is UTF-16 and was read as such", 1, 1))
        return
    if start[:3] == codecs.BOM_UTF8:
        findings.append(Finding("note", f"{path.name} begins with a byte order mark, which was left out", 1, 1))
    if b"\0" in start:
        raise DataError(f"{path} holds zero bytes and is no text table", "give a CSV, TSV or Parquet file")


def _not_text(path: Path, error: UnicodeDecodeError) -> DataError:
    if error.encoding.startswith("utf-16") or error.encoding.startswith("utf_16"):
        return DataError(f"{path} begins like UTF-16 text and is not", "save it as UTF-8")
    line = 1
    decoder = codecs.getincrementaldecoder("utf-8")()
    with unpacked(path) as file:
        while piece := file.read(MOST):
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as found:
                line += found.object.count(b"\n", 0, found.start)
                error = found
                break
            line += piece.count(b"\n")
    return DataError(
        f"{path}: line {line} holds the byte 0x{error.object[error.start]:02x}, which is not UTF-8; it may be Latin-1 or Windows-1252",
        f"convert it: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8.csv (the file must be plain, not .gz)",
    )


def _by(line: str) -> str:
    return max(",;\t|", key=line.count)


def _head(path: Path, text: str) -> tuple[str, list[str]]:
    """What parts the cells, and the names of the columns."""
    if not text.strip():
        raise DataError(f"{path} is empty; a header line and at least a few rows are wanted")
    first = text.partition("\n")[0]
    by = _by(first)  # one column, whose cells nothing parts, may be a series or running text: `pipeline.prepare` says so
    return by, _header(path, text, by)


def _after_header(text: str, by: str) -> str:
    """What follows the header, whose cells may hold lines."""
    reader = csv.reader(io.StringIO(text), delimiter=by)
    next(reader)
    return "\n".join(text.split("\n")[reader.line_num :])


def _parsed(path: Path, text: str, by: str, names: list[str]) -> pl.DataFrame:
    import polars as pl

    try:
        frame = pl.read_csv(
            io.BytesIO(text.encode()), separator=by, has_header=False, infer_schema=False, new_columns=names, quote_char='"'
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise DataError(f"{path} cannot be read as a table: {first}", "are quotes closed in every line?") from None
    return frame.with_columns(pl.all().str.strip_chars())


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


def _lengths(path: Path, text: str, by: str, width: int, line: int) -> int:
    """Raises DataError at the first record that has not `width` fields; `line`: where the text begins. Returns how many lines
    are blank."""
    blank = 0
    if '"' not in text:
        for number, one in enumerate(text.split("\n"), start=line):
            if one.count(by) != width - 1:
                if one.strip():
                    raise _ragged(path, number, one.count(by) + 1, width)
                blank += 1
        return blank - (text.endswith("\n") or not text) if blank else 0
    reader = csv.reader(io.StringIO(text), delimiter=by)
    start = line
    try:
        for row in reader:
            if len(row) != width:
                if row:
                    raise _ragged(path, start, len(row), width)
                blank += 1
            start = line + reader.line_num
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
