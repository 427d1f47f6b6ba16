"""Time series in the .ts format of the UCR and UEA archives, plain or .gz: one series a line, its class behind it.

@univariate false
@classLabel true 0 1
@data
0.1,0.2,?:3,4,5:1        dimensions parted by ":", values by ",", the class last; ? is missing
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.raw import Arrays, Raw, Source, by_split, content, files_in, guard, head

_MOST = 100_000  # values of one series


class TimeSeries(Source):
    kind: Literal["time_series"] = "time_series"
    source: ClassVar[str] = "timeseriesclassification.com; Bagnall et al., arXiv:1811.00075"
    cost: ClassVar[str] = "four bytes a value, in memory"

    def accepts(self, given: object) -> bool:
        return any(True for _ in files_in(given, _fits))

    def read(self, given: Path) -> Raw:
        paths = by_split(list(files_in(given, _fits)), ".ts files")
        read = {split: _read(path) for split, path in paths.items()}
        findings: list[Finding] = []
        channels = {split: {len(series) for series, _ in rows} for split, rows in read.items()}
        if len(set().union(*channels.values())) != 1:
            raise DataError(
                f"{given} holds series of {sorted(set().union(*channels.values()))} channels; all must have as many"
            )
        width = channels["train"].pop()
        length = max(len(channel) for series, _ in read["train"] for channel in series)
        short = sum(len(channel) < length for rows in read.values() for series, _ in rows for channel in series[:1])
        long = sum(len(channel) > length for rows in read.values() for series, _ in rows for channel in series[:1])
        everything = sum(len(rows) for rows in read.values())
        if short:
            text = f"series are shorter than {length} values; their last value is repeated behind them"
            findings.append(Finding("warning", text, short, everything))
        if long:
            findings.append(Finding("warning", f"series are longer than any of train ({length}); what is behind is cut", long,
                                    everything))  # fmt: skip
        guard(4.0 * everything * width * length, str(given))
        parts = {split: _arrays(rows, width, length, findings, split) for split, rows in read.items()}
        counts = ", ".join(f"{len(part.y)} {split}" for split, part in parts.items())
        name = given.name if given.is_dir() else given.name.split(".")[0]
        return Raw(parts, f"time series ({counts}) of {width} channels and {length} values", name, tuple(findings))


def _fits(path: Path) -> bool:
    if not path.name.lower().removesuffix(".gz").endswith(".ts"):
        return False
    try:
        start = head(path)
    except DataError:
        return True  # its reading tells what is wrong with it
    return start.lstrip()[:1] in (b"#", b"@") or not start


Row = tuple[list[list[float]], str]


def _read(path: Path) -> list[Row]:
    try:
        text = content(path).decode("utf-8-sig")  # in steps, so that never more than two copies are there
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start})", "save the file as UTF-8") from None
    lines = text.splitlines()
    del text
    told: dict[str, str] = {}
    start = None
    for number, line in enumerate(lines):
        word, _, rest = line.strip().partition(" ")
        if word.lower() == "@data":
            start = number + 1
            break
        if word.startswith("@"):
            told[word[1:].lower()] = rest.strip()
    if start is None:
        raise DataError(f"{path} has no line @data; a .ts file has its series behind it", "copy or download it again")
    if told.get("timestamps", "false").lower() == "true":
        raise DataError(f"{path} has time stamps in its series, which are not served yet", "write the values alone")
    labelled = told.get("classlabel", told.get("targetlabel", "false")).lower().startswith("true")
    if not labelled:
        raise DataError(f"{path} has no classes (@classLabel false); there is nothing to learn")
    rows: list[Row] = []
    for number, line in enumerate(lines[start:], start=start + 1):
        if line.strip():
            *dimensions, label = line.strip().split(":")
            if not dimensions:
                raise DataError(f"{path}: line {number} has no class behind a colon", "copy or download it again")
            rows.append(([_values(part, path, number) for part in dimensions], label.strip()))
    if not rows:
        raise DataError(f"{path} holds no series behind @data", "copy or download it again")
    return rows


def _values(text: str, path: Path, line: int) -> list[float]:
    cells = text.split(",")
    if len(cells) > _MOST:
        raise DataError(f"{path}: line {line} has {len(cells)} values; at most {_MOST} are read")
    try:
        return [float("nan") if cell.strip() in ("?", "NaN", "") else float(cell) for cell in cells]
    except ValueError as error:
        raise DataError(f"{path}: line {line} holds {str(error).rpartition(': ')[2]}; a number is wanted") from None


def _arrays(rows: list[Row], width: int, length: int, findings: list[Finding], split: str) -> Arrays:
    x = np.zeros((len(rows), width, length), dtype=np.float32)
    gaps = 0
    for n, (series, _) in enumerate(rows):
        for c, channel in enumerate(series):
            values = np.asarray(channel[:length], dtype=np.float64)
            known = np.isfinite(values)
            gaps += int((~known).sum())
            if known.all():
                filled = values
            elif known.any():  # between two known values on a straight line, outside the nearest one
                filled = np.interp(np.arange(len(values)), np.flatnonzero(known), values[known])
            else:
                filled = np.zeros(len(values))
            x[n, c, : len(filled)] = filled
            x[n, c, len(filled) :] = filled[-1] if len(filled) else 0
    if gaps:
        findings.append(Finding("warning", f"values of {split} are missing and lie on a line between their neighbours", gaps,
                                x.size))  # fmt: skip
    labels: NDArray[Any] = np.array([label for _, label in rows], dtype=object)
    return Arrays(x, labels, "series")
