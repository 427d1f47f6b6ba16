"""Lists of examples in CSV files, as `label_errors.csv` is: which examples they name, and whether they are those of this data.

example,given,suggested,confidence      example: the file, or the row counted from 1 (or row, file, path)
17,cat,dog,0.93                         given (or nothing): what it bears; an example that bears something else is refused
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuneful.core.config import nearest
from tuneful.core.errors import DataError
from tuneful.techniques.cleaners.cleaner import Examples

_WHO = ("example", "row", "file", "path")
_MOST = 1 << 30  # bytes


def read(path: str, step: str, wanted: Sequence[str] = ()) -> list[dict[str, str]]:
    """The lines of a list, each with "example" and, where the file has one of the `wanted` columns, "new".

    Raises: DataError for a file that is missing, no CSV, or without a column that says which examples are meant.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(
            f"{step} reads its examples from {path}, and there is no such file",
            "every run writes label_errors.csv, with a line for each suspected label, and `tuneful check DATA --labels FILE` does",
        )
    try:
        if file.stat().st_size > _MOST:
            raise DataError(f"{path} is larger than 1 GB; a list of examples is wanted")
        text = file.read_text(encoding="utf-8-sig")
        lines = list(csv.DictReader(text.splitlines(), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV file in UTF-8: {error}") from None
    if not lines:
        raise DataError(f"{path} names no examples; a header and a line for each example are wanted")
    head = {str(name).strip().lower(): name for name in lines[0] if name is not None}
    who = next((head[name] for name in _WHO if name in head), None)
    if who is None:
        known = ", ".join(map(str, head)) or "none"
        raise DataError(
            f'{path} has no column "example" that says which examples are meant; its columns are {known}',
            "its first line must be like: example,given,suggested",
        )
    new = next((head[name] for name in wanted if name in head), None)
    if wanted and new is None:
        raise DataError(
            f'{path} has no column "{wanted[0]}"{f" or {chr(34)}{wanted[1]}{chr(34)}" if wanted[1:] else ""}, '
            f"which {step} takes the new labels from; its columns are {', '.join(map(str, head))}",
        )
    given = head.get("given", "")
    out: list[dict[str, str]] = []
    for number, line in enumerate(lines, start=2):
        cells = {"example": line[who], "given": line[given] if given else "", "new": line[new] if new else ""}
        if cells["example"] is None or None in cells.values() or not str(cells["example"]).strip():
            raise DataError(f"{path}: line {number} names no example, or has fewer fields than the header")
        out.append({key: str(cell).strip() for key, cell in cells.items()} | {"line": str(number)})
    return out


def found(lines: Sequence[Mapping[str, str]], seen: Examples, path: str) -> tuple[dict[int, Mapping[str, str]], int]:
    """{number in train: its line}, and how many lines name examples that are not in train but in valid, in test or set aside.

    Raises: DataError for an example that the data does not have, that is named twice, or that bears another label than the list
    says: then it is a list of other data.
    """
    origin = seen.origin
    place = {int(row): at for at, row in enumerate(origin.rows)}
    names = {name: row for row, name in enumerate(origin.names)}
    out: dict[int, Mapping[str, str]] = {}
    elsewhere, met = 0, set[int]()
    for line in lines:
        what = line["example"]
        row = names.get(what, -1) if names else int(what) - 1 if what.isdecimal() and len(what) < 16 else -1
        if not 0 <= row < origin.of:
            guess = nearest(what, origin.names[:10_000]) if names else ""
            known = f"did you mean {guess}?" if guess else "files are written as in label_errors.csv" if names else ""
            raise DataError(
                f"{path}: line {line['line']} names example {what!r}, which the data does not have"
                + ("" if names else f"; it must be a row from 1 to {origin.of}"),
                known or "rows are counted from 1, without the header",
            )
        if row in met:
            raise DataError(f"{path}: line {line['line']} names example {what!r} a second time", "leave one of the lines")
        met.add(row)
        at = place.get(row)
        if at is None and row in seen.dropped:
            raise DataError(
                f"{path}: line {line['line']} names example {what}, which another list takes out of train",
                "an example is dropped or gets another label, not both",
            )
        if at is None:
            elsewhere += 1
            continue
        bears = label(seen, at)
        if line["given"] and line["given"] != bears:
            raise DataError(
                f"{path}: line {line['line']} says that example {what} bears {line['given']!r}, and it bears {bears!r}",
                "is it a list of other data? leave the column given out where it does not matter",
            )
        out[at] = line
    return out, elsewhere


def label(seen: Examples, at: int) -> str:
    """What an example of train bears, as text; "" for several labels or values."""
    if seen.y.ndim != 1:
        return ""
    value: Any = seen.y[at]
    return seen.labels[int(value)] if seen.labels else f"{float(value):.9g}"


def mask(n: int, rows: Mapping[int, Any]) -> Any:
    """[n], true at the rows."""
    out = np.zeros(n, dtype=bool)
    out[list(rows)] = True
    return out
