"""A folder of text files with one folder a class, with or without train, valid (validation, val, dev) and test above them.

reviews/pos/1.txt                  reviews/train/pos/1.txt  reviews/test/neg/7.txt
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.encoding import written
from tuneful.techniques.sources.folder import printable
from tuneful.techniques.sources.raw import SPLITS, Raw, Source, Texts, guard, listing

_SUFFIXES = (".txt", ".text", ".txt.gz")
_LOOK = 50  # files of a folder that are looked at to tell what it is
_MOST = 5_000_000  # files


class TextFolder(Source):
    kind: Literal["text_folder"] = "text_folder"
    source: ClassVar[str] = "the layout of Maas et al., ACL 2011 (large movie review data)"
    cost: ClassVar[str] = "every file is read once and kept in memory as text"

    def accepts(self, given: object) -> bool:
        if not isinstance(given, Path) or not given.is_dir():
            return False
        folders = [Path(entry.path) for entry in listing(given) if _is_dir(entry)]
        inner = [Path(e.path) for f in folders if f.name.lower() in SPLITS for e in listing(f) if _is_dir(e)]
        return any(_holds_text(folder) for folder in [*folders, *inner])

    def read(self, given: Path) -> Raw:
        folders = [entry for entry in listing(given) if _is_dir(entry)]
        named = {SPLITS[e.name.lower()]: Path(e.path) for e in folders if e.name.lower() in SPLITS}
        findings: list[Finding] = []
        roots = named if "train" in named else {"train": given}
        parts = {split: _classes(root, findings) for split, root in roots.items()}
        counts = ", ".join(f"{len(part.texts)} {split}" for split, part in parts.items())
        classes = len(set(parts["train"].labels))
        return Raw(parts, f"a folder of texts with {classes} classes and {counts} files", given.name, tuple(findings))


def _classes(root: Path, findings: list[Finding]) -> Texts:
    paths: list[Path] = []
    labels: list[str | None] = []
    for entry in listing(root):
        if _is_dir(entry):
            found = [Path(e.path) for e in listing(Path(entry.path)) if e.name.lower().endswith(_SUFFIXES) and e.is_file()]
            paths += found
            labels += [printable(entry.name)] * len(found)
    if not paths:
        raise DataError(
            f"{root} holds no .txt files in class folders; at least two folders with texts are wanted",
            f"put the texts of each class into a folder of its own, such as {root.name}/good/1.txt",
        )
    if len(paths) > _MOST:
        raise DataError(f"{root} holds more than {_MOST} texts; at most {_MOST} are read")
    guard(sum(_size(path) for path in paths), f"the text of {root}")
    empty = [path for path in paths if _size(path) == 0]
    told: list[Finding] = []
    texts = tuple("" if _size(path) == 0 else written(path, told) for path in paths)
    if empty:
        findings.append(
            Finding("warning", "files are empty and were read as texts without words", len(empty), len(paths),
                    tuple(printable(path.name) for path in empty[:3]))
        )  # fmt: skip
    for sentence in sorted({f.what.partition(" ")[2] for f in told}):
        same = [f for f in told if f.what.partition(" ")[2] == sentence]
        findings.append(Finding(same[0].severity, f"files: each {sentence}", len(same), len(paths), (), same[0].hint))
    return Texts(texts, tuple(labels))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{printable(str(path))} cannot be opened: {error.strerror or error}") from None


def _holds_text(folder: Path) -> bool:
    names = [entry.name.lower() for entry in listing(folder)[:_LOOK]]
    return bool(names) and sum(name.endswith(_SUFFIXES) for name in names) > len(names) / 2


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
