"""A CSV that names files and their labels, with a split where it says so.

    path,label,split            file name column: path, file, filename, image, audio, wav ...
    a/1.png,cat,train           other columns are told and not used
    a/2.png,dog,test

Paths are relative to the CSV, or to one folder beside it named in no column.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.folder import Media, media_of, printable
from tuneful.techniques.sources.raw import SPLITS, Files, Raw, Source, content, head

PATHS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "audio", "wav", "sound")
_LABELS = ("label", "class", "target", "y", "category")
SPLIT_COLUMNS = ("split", "fold", "set", "subset", "partition")
_LOOK = 20  # rows that are looked at


class FileList(Source):
    kind: Literal["file_list"] = "file_list"
    source: ClassVar[str] = "the lists of Kaggle and of ESC-50"
    cost: ClassVar[str] = "every file is decoded once, brought to one size or length and kept in memory as bytes"

    def accepts(self, given: object) -> bool:
        found = beginning(given)
        at = column(found[0] if found else [], PATHS)
        if at is None or not isinstance(given, Path) or column(found[0], _LABELS) is None:
            return False
        named = [row[at] for row in found[1:_LOOK] if len(row) == len(found[0])]
        # A list of files names files that are there; a table may well have a column called image or file.
        return any(media_of(os.fsencode(given.parent / name)) and (given.parent / name).is_file() for name in named if name)

    def read(self, given: Path) -> Raw:
        found = listed(given)
        names = found[0]
        at, label, split = (column(names, known) for known in (PATHS, _LABELS, SPLIT_COLUMNS))
        assert at is not None
        assert label is not None
        findings: list[Finding] = []
        odd = next((number for number, row in enumerate(found[1:], start=2) if len(row) != len(names)), None)
        if odd is not None:
            raise DataError(f"{given}: line {odd} has {len(found[odd - 1])} fields; the header has {len(names)}")
        gathered: dict[str, list[tuple[bytes, str]]] = {}
        for row in found[1:]:
            path = Path(row[at])
            if path.is_absolute() or ".." in path.parts:
                raise DataError(
                    f"{given} names the file {printable(row[at])}, which does not lie below {given.parent}",
                    "write paths relative to the list",
                )
            word = row[split].strip().lower() if split is not None else "train"
            if word not in SPLITS:
                raise DataError(
                    f'{given}: column "{names[split or 0]}" holds {row[split or 0]!r}; it must be train, valid or test',
                    "rename the column if it is no split",
                )
            gathered.setdefault(SPLITS[word], []).append((os.fsencode(given.parent / path), row[label].strip()))
        if "train" not in gathered:
            raise DataError(f"{given} names no file of train")
        kinds: list[Media] = [m for pairs in gathered.values() for path, _ in pairs if (m := media_of(path)) is not None]
        media: Media = kinds[0] if kinds else "image"
        parts: dict[str, Files] = {}
        for name, pairs in gathered.items():
            absent = [pair for pair in pairs if not pair[1]]
            if absent:
                findings.append(
                    Finding("warning", f"files of {name} have no label and are left out", len(absent), len(pairs))
                )
            kept = [pair for pair in pairs if pair[1]]
            parts[name] = Files(tuple(p for p, _ in kept), tuple(printable(c) for _, c in kept), media)
        unused = [name for number, name in enumerate(names) if number not in (at, label, split)]
        if unused:
            findings.append(Finding("note", "columns of the list are not used", len(unused), len(names), tuple(unused[:5])))
        counts = ", ".join(f"{len(part.paths)} {split}" for split, part in parts.items())
        classes = len(set(parts["train"].labels))
        return Raw(parts, f"a list ({given.name}) of {counts} {media}s in {classes} classes", given.stem, tuple(findings))


def rows(text: str) -> list[list[str]]:
    """The rows of a list, parted by what its first line has most of; [] where they cannot be parted."""
    first = text.partition("\n")[0]
    try:
        return [row for row in csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count)) if row]
    except csv.Error:
        return []


def beginning(given: object) -> list[list[str]]:
    """The first rows of a CSV or TSV, the header among them; none of anything else."""
    if not isinstance(given, Path) or not given.is_file() or not given.name.lower().endswith((".csv", ".tsv")):
        return []
    try:
        start = head(given, 4096).decode("utf-8-sig", "replace")
    except DataError:
        return []
    return rows(start.rpartition("\n")[0] or start)


def listed(given: Path) -> list[list[str]]:
    """All rows of such a file. Raises DataError for text that is not UTF-8."""
    try:
        text = content(given).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{given} is not UTF-8 text (byte {error.start})", "save the file as UTF-8") from None
    return rows(text)


def column(names: list[str], known: tuple[str, ...]) -> int | None:
    """Where the first of these names stands in a header."""
    lowered = [name.strip().lower() for name in names]
    found = [lowered.index(word) for word in known if word in lowered]
    return found[0] if found else None
