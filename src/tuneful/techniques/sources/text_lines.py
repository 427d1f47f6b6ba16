"""A file of lines "label TAB text" (or the other way round) without a header, quotes being letters like any other.

That a file has no header is told by its first line: its label is the label of other lines too.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.encoding import first_lines, texts_in, written
from tuneful.techniques.sources.raw import Raw, Source, Texts, by_split

_FEW = 5  # lines that must be there to tell
_LONGEST = 60  # letters of a label


class TextLines(Source):
    kind: Literal["text_lines"] = "text_lines"
    source: ClassVar[str] = "the layout of Almeida et al.'s SMS Spam Collection, 2011"
    cost: ClassVar[str] = "the text, in memory"

    def accepts(self, given: object) -> bool:
        return isinstance(given, Path) and any(True for _ in _paths(given))

    def read(self, given: Path) -> Raw:
        findings: list[Finding] = []
        paths = by_split(_paths(given), "files of labelled lines") if given.is_dir() else {"train": given}
        parts = {split: _texts(path, findings) for split, path in paths.items()}
        counts = " and ".join(f"{len(part.texts)} {split}" for split, part in parts.items())
        what = f"labelled lines without a header ({', '.join(path.name for path in paths.values())}): {counts}"
        return Raw(parts, what, given.name.split(".")[0] if given.is_file() else given.name, tuple(findings))


def _paths(given: Path) -> list[Path]:
    files = texts_in(given) if given.is_dir() else [given] if given.is_file() else []
    return [path for path in files if _side(first_lines(path)) is not None]


def _side(lines: list[str]) -> int | None:
    """In which of two fields the label stands, or None when these are no labelled lines without a header."""
    rows = [line.split("\t") for line in lines if line.strip()]
    if len(rows) < _FEW or any(len(row) != 2 for row in rows):
        return None
    for side in (0, 1):
        labels = Counter(row[side].strip() for row in rows)
        words = sum(len(row[1 - side].split()) for row in rows) / len(rows)
        first = rows[0][side].strip()
        if words >= 2 and len(labels) <= max(2, len(rows) / 2) and labels[first] > 1 and max(map(len, labels)) <= _LONGEST:
            return side
    return None


def _texts(path: Path, findings: list[Finding]) -> Texts:
    side = _side(first_lines(path))
    if side is None:
        raise DataError(f"{path} holds no labelled lines like the others; label, tab, text are wanted on each line")
    texts: list[str] = []
    labels: list[str | None] = []
    for number, line in enumerate(written(path, findings).split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != 2 or not fields[side].strip():
            raise DataError(
                f"{path}: line {number} has {len(fields)} field{'s' if len(fields) != 1 else ''}; a label, a tab and a text are wanted",
                "mend the line, or give the file a header and quotes",
            )
        labels.append(fields[side].strip())
        texts.append(fields[1 - side].strip())
    return Texts(tuple(texts), tuple(labels))
