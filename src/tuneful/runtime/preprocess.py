"""How raw input becomes x: the one code that training and serving share, so that they cannot differ. numpy only.

A schema is plain data, fitted on train by `pipeline.prepare` and sealed into the artifact:

    {"kind": "table", "features": [name, ...], "columns": [column, ...], "missing": [word, ...]}
    {"kind": "image", "shape": [C, H, W], "dtype": "uint8" | "float32"}
    {"kind": "vector", "shape": [D]}
    {"kind": "series", "shape": [C, T]}
    {"kind": "forecast", ...}: see `windows`
    {"kind": "audio", "shape": [1, S], "rate": samples a second, ...}; "mel" and "seen" are for the network's own front
    {"kind": "tokens", "shape": [T], "vocabulary": V, "tokenizer": {...}, "column": ""}    see `text`

A table's column is one of
    {"name", "type": "number", "fill", "mean", "std", "indicator": bool, "words": [...], "decimal": "." | ","}
    {"name", "type": "category", "levels": [...], "other": bool, "indicator": bool, "numeric": bool}
    {"name", "type": "date", "order": "ymd" | "dmy" | "mdy", "parts": [...], "fill", "mean", "std": one a part, "indicator"}
and gives these features, in this order: its numbers as (value - mean) / std, or one 0/1 a level and one for all others; then
one 0/1 that says "missing" where train had missing values. A level never seen in train counts as "other"; where train had no
others it is all zeros. Images: see `pixels`.

Steps of cleaning travel along: "low" and "high" of a number are the edges to which it is clipped before anything else; "fill" of
a category is the level that a missing value takes; "mend" of a table or of texts says how text is put right (`core.mojibake`).
"""

from __future__ import annotations

import csv
import gzip
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.mojibake import mended
from tuneful.runtime import arrays
from tuneful.runtime import text as words

Floats = NDArray[np.float32]
MISSING = ("", "?", "na", "n/a", "nan", "nat", "null", "none", "<na>")
"""Words that mean "no value" in any column, compared without case."""

_DATE = re.compile(
    r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})"  # three numbers, one separator
    r"(?:[T ]+(\d{1,2}):(\d{2})(?::\d{2}(?:[.,]\d+)?)?)?"  # time of day; seconds are not kept
    r"\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?"  # a zone is not converted: the clock on the wall is what people act on
)


def apply(schema: Mapping[str, Any], data: Any, strict: bool = False) -> NDArray[Any]:
    """Raw input as the network takes it.

    Args:
        schema: what `prepare` fitted; see the module.
        data: for a table a mapping from column to values (or a list of such rows); for images an array [N, H, W, C],
            [N, C, H, W] or [N, H, W], or a list of files; for vectors an array [N, D]; for series [N, C, T], or [N, T] of one
            channel; for sounds a list of files, or (samples [N, S] in [-1, 1] or int16, samples a second).
        strict: is an infinite number in a column that missed nothing in training a mistake? Else it counts as missing.

    Returns: float32, [N, D], [N, C, H, W], [N, C, T] or [N, 1, S]; of texts int32 [N, T].
    Raises:  DataError that names the column, shape or value at fault.
    """
    if schema["kind"] == "table":
        return _table(schema, data, strict)
    if schema["kind"] == "image":
        return arrays.images(schema, data)
    if schema["kind"] == "audio":
        return arrays.sounds(schema, data)
    if schema["kind"] == "series":
        return arrays.series(schema, data)
    if schema["kind"] == "tokens":
        return words.apply(schema, data)
    return arrays.vectors(schema, data)


# Tables


def cell(value: object) -> str:
    """One cell as stripped text, "" when it is missing; whole numbers without a point, so that 3 and 3.0 are one level."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | np.bool_):
        return "True" if value else "False"
    if isinstance(value, int | np.integer):
        return str(int(cast("int", value)))
    if isinstance(value, float | np.floating):
        number = float(cast("float", value))
        if math.isnan(number):
            return ""
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return str(value).strip()


def texts(values: Iterable[Any]) -> list[str]:
    """`cell` of each value, quickly where they are text already."""
    return [value.strip() if type(value) is str else cell(value) for value in values]


def level(text: str, numeric: bool) -> str:
    """The name under which a category's level is known; numbers written in two ways are one level."""
    if not numeric:
        return text
    try:
        return cell(float(text))
    except ValueError:
        return text


def numbers(
    values: Sequence[Any] | NDArray[Any], name: str, missing: Sequence[str], decimal: str = "."
) -> NDArray[np.float64]:
    """A column as float64, NaN where missing or infinite. Raises DataError at the first value that is no number."""
    words = {word.casefold() for word in (*MISSING, *missing)}
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        out = values.astype(np.float64)
    else:
        cells = texts(values)
        if decimal != ".":
            cells = [text.replace(decimal, ".") for text in cells]
        cells = ["nan" if text.casefold() in words else text for text in cells]
        try:
            out = np.array(cells, dtype=np.float64) if cells else np.empty(0)
        except ValueError:
            row = next(i for i, text in enumerate(cells) if not is_number(text))
            raise DataError(
                f'column "{name}" holds {cells[row]!r} in row {row + 1}; it must be a number',
                f'give a number, or leave the cell empty when it is missing (column "{name}" was numeric in training)',
            ) from None
    codes = [float(word) for word in missing if is_number(word)]
    out[~np.isfinite(out) | np.isin(out, codes)] = np.nan
    return out


def is_number(text: str) -> bool:
    """Can it be read as a number?"""
    try:
        float(text)
    except ValueError:
        return False
    return True


def moments(values: Sequence[Any] | NDArray[Any], name: str, missing: Sequence[str], order: str) -> NDArray[np.datetime64]:
    """A column of dates as datetime64[m], NaT where missing. order: of year, month and day, such as "ymd".

    Raises: DataError at the first value that is no date.
    """
    words = {word.casefold() for word in (*MISSING, *missing)}
    out = np.full(len(values), "NaT", dtype="datetime64[m]")
    for row, value in enumerate(values):
        text = cell(value)
        if text.casefold() in words:
            continue
        moment = moment_of(text, order)
        if moment is None:
            form = "-".join({"y": "YYYY", "m": "MM", "d": "DD"}[letter] for letter in order)
            raise DataError(
                f'column "{name}" holds {text!r} in row {row + 1}; it must be a date like {form}, with or without a time',
                "dates must be written as they were in training; leave the cell empty when it is missing",
            )
        out[row] = moment
    return out


def moment_of(text: str, order: str) -> np.datetime64 | None:
    """A written date, or None when it is none in this order of year, month and day."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    given = dict(zip(order, (found[1], found[3], found[4])))
    if len(given["y"]) != 4 or len(given["m"]) > 2 or len(given["d"]) > 2:
        return None
    clock = f"T{int(found[5]):02}:{found[6]}" if found[5] else ""
    try:
        return np.datetime64(f"{given['y']}-{int(given['m']):02}-{int(given['d']):02}{clock}", "m")
    except ValueError:
        return None


def part(moment: NDArray[np.datetime64], which: str) -> NDArray[np.float64]:
    """year, month (1-12), day (1-31), weekday (0 is Monday) or hour of each moment; NaN for NaT."""
    days, months, years = (moment.astype(f"datetime64[{unit}]") for unit in "DMY")
    if which == "year":
        found = years.astype(np.int64) + 1970
    elif which == "month":
        found = (months - years.astype("datetime64[M]")).astype(np.int64) + 1
    elif which == "day":
        found = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    elif which == "weekday":
        found = (days.astype(np.int64) + 3) % 7
    else:
        found = (moment - days.astype("datetime64[m]")).astype(np.int64) // 60
    return np.where(np.isnat(moment), np.nan, found)


def _table(schema: Mapping[str, Any], data: Any, strict: bool = False) -> Floats:
    columns = by_column(data)
    wanted: list[dict[str, Any]] = schema["columns"]
    if "mend" in schema:
        columns = cast("Mapping[str, Any]", {name: mended_cells(columns[name], schema["mend"]) for name in columns})
    absent = [str(column["name"]) for column in wanted if column["name"] not in columns]
    if absent:
        raise DataError(
            f'column "{absent[0]}" is missing'
            + (f" (and {len(absent) - 1} more: {', '.join(absent[1:6])})" if absent[1:] else ""),
            f"the columns given are {', '.join(map(str, list(columns)[:20])) or 'none'}",
        )
    lengths = {str(column["name"]): len(columns[column["name"]]) for column in wanted}
    rows = next(iter(lengths.values()), 0)
    odd = next((name for name, length in lengths.items() if length != rows), None)
    if odd is not None:
        first = next(iter(lengths))
        raise DataError(
            f'column "{odd}" has {lengths[odd]} values and column "{first}" has {rows}; they must be equally many'
        )
    out = np.zeros((rows, len(schema["features"])), dtype=np.float32)
    at = 0
    missing = list(schema.get("missing", ()))
    for column in wanted:
        if strict and column["type"] == "number" and not column["indicator"]:
            _refuse_infinite(columns[column["name"]], str(column["name"]), str(column.get("decimal", ".")))
        block = _ENCODERS[column["type"]](column, columns[column["name"]], missing)
        out[:, at : at + block.shape[1]] = block
        at += block.shape[1]
    return out


def _refuse_infinite(values: Sequence[Any] | NDArray[Any], name: str, decimal: str) -> None:
    """Raises DataError at the first infinite number, also one that is written as text or is too large for a float."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        values = values[np.isinf(values)][:1] if values.dtype.kind == "f" else ()
    for row, value in enumerate(values):
        text = value.strip().replace(decimal, ".") if isinstance(value, str) else value
        try:
            infinite = math.isinf(float(text)) if text is not None and text != "" else False
        except OverflowError:
            infinite = True
        except (ValueError, TypeError):
            continue  # a missing word, or what `numbers` says a sentence about
        if infinite:
            where = f"in row {row + 1}" if len(values) > 1 else "there"
            raise DataError(
                f'column "{name}" holds {str(value)[:30]} {where}, which is no finite number; this column missed nothing in training',
                "give a finite number, or leave the cell empty where the value is not known",
            )


def mended_cells(values: Sequence[Any] | NDArray[Any], how: Mapping[str, bool]) -> Sequence[Any] | NDArray[Any]:
    """The cells of a column with their text put right; what is no text stays as it is."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        return values
    return [mended(value, **how).strip() if isinstance(value, str) else value for value in values]


def clipped(column: Mapping[str, Any], found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers brought between the edges of their column, where it has any; NaN stays."""
    return np.clip(found, column["low"], column["high"]) if "low" in column else found


def by_column(data: Any) -> Mapping[str, Any]:
    """{column: values}, also from a list of rows or a data frame."""
    if type(data).__module__.partition(".")[0] in ("pandas", "polars"):
        return {str(name): data[name].to_list() for name in data.columns}
    if isinstance(data, Mapping):
        return cast("Mapping[str, Any]", data)
    rows = cast("list[Any]", data if isinstance(data, list) else [None])
    if not all(isinstance(row, Mapping) for row in rows):
        raise DataError(
            f"a table is wanted, and {type(cast('object', data)).__name__} was given",
            'give {"column": [values], ...}, or a list of rows [{"column": value, ...}, ...]',
        )
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _number(column: Mapping[str, Any], values: Sequence[Any], missing: list[str]) -> Floats:
    found = numbers(values, column["name"], [*missing, *column.get("words", ())], column.get("decimal", "."))
    return _standardized(column, clipped(column, found)[:, None])


def _date(column: Mapping[str, Any], values: Sequence[Any], missing: list[str]) -> Floats:
    found = moments(values, column["name"], missing, column["order"])
    return _standardized(column, np.stack([part(found, which) for which in column["parts"]], axis=1))


def _standardized(column: Mapping[str, Any], found_NF: NDArray[np.float64]) -> Floats:
    absent = np.isnan(found_NF)
    if "knots" in column:  # made normal by ranks; what misses takes the middle rank
        at, ranks = (np.asarray(column[key], dtype=np.float64) for key in ("knots", "ranks"))
        filled = np.where(absent, column["fill"], found_NF)
        scaled = np.interp(filled, at, ranks)
        return (np.concatenate([scaled, absent[:, :1]], axis=1) if column["indicator"] else scaled).astype(np.float32)
    fill, mean, std = (np.atleast_1d(np.asarray(column[key], dtype=np.float64)) for key in ("fill", "mean", "std"))
    scaled = (np.where(absent, fill, found_NF) - mean) / std
    if column["indicator"]:
        scaled = np.concatenate([scaled, absent[:, :1]], axis=1)
    return scaled.astype(np.float32)


def _category(column: Mapping[str, Any], values: Sequence[Any], missing: list[str]) -> Floats:
    levels: list[str] = column["levels"]
    words = {word.casefold() for word in (*MISSING, *missing)}
    other, absent = len(levels), len(levels) + 1
    index = {name: number for number, name in enumerate(levels)}
    index.update({word: absent for word in words if word not in index})
    by_case = {name.casefold(): number for name, number in index.items()}
    codes = np.empty(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        code = index.get(value) if type(value) is str else None
        if code is not None:  # the usual case, without any work on the text
            codes[row] = code
            continue
        text = level(cell(value), column["numeric"])
        code = index.get(text)
        if code is None:  # True and "true" are one thing; other words keep their case
            folded = text.casefold()
            code = by_case.get(folded, other) if folded in words or folded in ("true", "false") else other
            index[text] = code
        codes[row] = code
    kept = [*range(len(levels)), *([other] if column["other"] else []), *([absent] if column["indicator"] else [])]
    out = (codes[:, None] == np.array(kept, dtype=np.int64)[None, :]).astype(np.float32)
    if "fill" in column:
        out[codes == absent, levels.index(column["fill"])] = 1.0
    return out


_ENCODERS = {"number": _number, "category": _category, "date": _date}


def read_rows(path: str | Path) -> dict[str, list[str]]:
    """A CSV or TSV file (or its .gz) as columns of text, for serving; UTF-8, header first.

    Raises: DataError that names the line at fault.
    """
    pieces = list(row_pieces(path))
    return {name: [cell for piece in pieces for cell in piece[name]] for name in pieces[0]}


def row_pieces(path: str | Path, rows: int = 10_000) -> Iterator[dict[str, list[str]]]:
    """The same, so many rows after others: a file may be larger than the memory.

    Raises: DataError that names the line at fault, and when there is no row.
    """
    with Path(path).open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    begun = False
    try:
        with gzip.open(path, "rt", encoding="utf-8-sig", newline=None) if packed else _plain(path) as file:
            lines = cast("Iterator[str]", file)
            first = next(lines, "")
            reader = csv.reader(itertools.chain([first], lines), delimiter=max(",;\t|", key=first.count))
            names = [name.strip() for name in next((row for row in reader if row), ())]
            found: list[list[str]] = []
            for row in reader:
                if row and len(row) != len(names):
                    raise DataError(f"{path}: line {reader.line_num} has {len(row)} fields; the header has {len(names)}")
                found += [row] if row else []
                if len(found) == rows:
                    yield {name: list(column) for name, column in zip(names, zip(*found))}
                    begun, found = True, []
    except UnicodeDecodeError:
        raise DataError(f"{path}: line {_strange(Path(path))} is not UTF-8 text", "save the file as UTF-8") from None
    except (csv.Error, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be read to its end: {error}", "is it whole?") from None
    if not names:
        raise DataError(f"{path} holds no lines; a header and at least one row are wanted")
    if found or not begun:
        yield {name: [row[i] for row in found] for i, name in enumerate(names)}


def _plain(path: str | Path) -> IO[str]:
    return Path(path).open(encoding="utf-8-sig", newline=None)


def _strange(path: Path) -> int:
    """The first line that is not UTF-8."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        for number, line in enumerate(cast("Iterator[bytes]", file), start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1
