"""Lines "text TAB text" without a header, of which one text is to become the other.

A file whose first line names the sides (source TAB target, en TAB ja) is a table with a header.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.encoding import first_lines, texts_in, written
from tuneful.techniques.sources.parallel import CODES, FIRST, SECOND
from tuneful.techniques.sources.raw import Pairs, Raw, Source, by_split

_FEW = 5  # lines that must be there to tell
_SUFFIXES = (".tsv", ".tab", ".txt")
_NAMES = ("input", "output", "question", "answer", "text", "translation", "summary", *FIRST, *SECOND)
_WORD = re.compile(r"[A-Za-z_][\w-]{0,30}")


class PairLines(Source):
    kind: Literal["pair_lines"] = "pair_lines"
    source: ClassVar[str] = "the layout of Tatoeba's bilingual sentence pairs"
    cost: ClassVar[str] = "the text, in memory"

    def accepts(self, given: object) -> bool:
        return isinstance(given, Path) and bool(_paths(given))

    def read(self, given: Path) -> Raw:
        findings: list[Finding] = []
        paths = by_split(_paths(given), "files of pairs") if given.is_dir() else {"train": given}
        parts = {split: _pairs(path, findings) for split, path in paths.items()}
        counts = " and ".join(f"{len(part.sources)} {split}" for split, part in parts.items())
        what = f"pairs of texts without a header ({', '.join(path.name for path in paths.values())}): {counts}"
        return Raw(parts, what, given.name.split(".")[0] if given.is_file() else given.name, tuple(findings))


def _paths(given: Path) -> list[Path]:
    files = texts_in(given) if given.is_dir() else [given] if given.is_file() else []
    named = [path for path in files if path.name.lower().removesuffix(".gz").endswith(_SUFFIXES)]
    return [path for path in named if _paired(first_lines(path))]


def _paired(lines: list[str]) -> bool:
    """Are these two texts a line, hardly any of them twice, and none of them the name of a side?"""
    rows = [line.split("\t") for line in lines if line.strip()]
    if len(rows) < _FEW or any(len(row) != 2 for row in rows):
        return False
    first, rest = [field.strip() for field in rows[0]], rows[1:]
    named = all(_WORD.fullmatch(field) for field in first)
    known = all(field.lower() in (*_NAMES, *CODES) for field in first)
    if known or (named and not any(_WORD.fullmatch(row[0].strip()) for row in rest)):
        return False
    sides = list(zip(*rows))
    varied = all(len(set(side)) > 0.5 * len(side) for side in sides)
    numbers = any(all(re.fullmatch(r"[-+.,\d]*", field.strip()) for field in side) for side in sides)
    return varied and not numbers


def _pairs(path: Path, findings: list[Finding]) -> Pairs:
    found: list[tuple[str, str]] = []
    for number, line in enumerate(written(path, findings).split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != 2:
            raise DataError(
                f"{path}: line {number} has {len(fields)} field{'s' if len(fields) != 1 else ''}; two texts with a tab between "
                "them are wanted", "mend the line",
            )  # fmt: skip
        found.append((fields[0].strip(), fields[1].strip()))
    return Pairs(tuple(a for a, _ in found), tuple(b for _, b in found))
