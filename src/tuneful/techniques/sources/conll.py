"""CoNLL files: a word and its tag on each line, parted by a tab or spaces (the tag is the last field), a blank line between sentences."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.encoding import first_lines, texts_in, written
from tuneful.techniques.sources.raw import SPLITS, Raw, Sentences, Source

_FEW = 20  # lines that must be there to tell


class Conll(Source):
    kind: Literal["conll"] = "conll"
    source: ClassVar[str] = "Tjong Kim Sang & De Meulder, CoNLL 2003"
    cost: ClassVar[str] = "the text, in memory"

    def accepts(self, given: object) -> bool:
        if not isinstance(given, Path):
            return False
        files = [given] if given.is_file() else texts_in(given) if given.is_dir() else []
        return bool(files) and all(_tagged(first_lines(path)) for path in files)

    def read(self, given: Path) -> Raw:
        findings: list[Finding] = []
        parts = {split: _sentences(path, findings) for split, path in _named(given).items()}
        counts = ", ".join(f"{len(part.words)} {split}" for split, part in parts.items())
        stem = given.name.split(".")[0] if given.is_file() else given.name
        return Raw(parts, f"sentences with a tag at each word (CoNLL): {counts}", stem, tuple(findings))


def _tagged(lines: list[str]) -> bool:
    rows = [line.split() for line in lines if line.strip()]
    inner = "\n".join(lines).strip().split("\n")
    if len(rows) < _FEW or not any(not line.strip() for line in inner):
        return False
    if len({row[-1] for row in rows}) > max(len(rows) / 3, 10):  # tags are few, words are many
        return False
    widths = {len(row) for row in rows if row[0] != "-DOCSTART-"}
    return len(widths) == 1 and 2 <= min(widths) <= 8 and all(len(row[-1]) <= 40 for row in rows)


def _named(given: Path) -> dict[str, Path]:
    files = [given] if given.is_file() else texts_in(given)
    if len(files) == 1:
        return {"train": files[0]}
    found: dict[str, Path] = {}
    for path in files:
        split = next((ours for word, ours in SPLITS.items() if len(word) > 2 and word in path.name.lower()), "")
        if not split or split in found:
            raise DataError(
                f"{given} holds {len(files)} CoNLL files ({', '.join(p.name for p in files[:5])}); one for each of train, valid and test is wanted",
                "give one of them, or name them train, valid (dev) and test",
            )
        found[split] = path
    if "train" not in found:
        raise DataError(f"{given} holds no CoNLL file named train (it holds {', '.join(p.name for p in files[:5])})")
    return found


def _sentences(path: Path, findings: list[Finding]) -> Sentences:
    words: list[tuple[str, ...]] = []
    tags: list[tuple[str, ...]] = []
    here: list[tuple[str, str]] = []
    width = 0
    for number, line in enumerate([*written(path, findings).split("\n"), ""], start=1):
        row = line.split()
        if row and row[0] != "-DOCSTART-":
            width = width or len(row)
            if len(row) != width or width < 2:
                raise DataError(
                    f"{path}: line {number} has {len(row)} fields; a word and its tag, {max(2, width)} fields, are wanted"
                )
            here.append((row[0], row[-1]))
        elif here:
            words.append(tuple(word for word, _ in here))
            tags.append(tuple(tag for _, tag in here))
            here = []
    if not words:
        raise DataError(f"{path} holds no sentences")
    return Sentences(tuple(words), tuple(tags))
