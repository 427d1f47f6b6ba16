"""One text file a class, a text on each line: reviews.pos and reviews.neg, or spam.txt and ham.txt."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.encoding import texts_in, written
from tuneful.techniques.sources.raw import Raw, Source, Texts, split_of

_OTHERS = {"csv", "tsv", "tab", "json", "jsonl", "conll", "bio", "iob", "parquet", "md", "py", "xml", "html", "toml", "yaml"}
_MOST = 200  # files of this layout; more are something else


class TextClasses(Source):
    kind: Literal["text_classes"] = "text_classes"
    source: ClassVar[str] = "the layout of Pang & Lee's sentence polarity data, 2005"
    cost: ClassVar[str] = "the text, in memory"

    def accepts(self, given: object) -> bool:
        return isinstance(given, Path) and given.is_dir() and len(_named(given)) >= 2

    def read(self, given: Path) -> Raw:
        findings: list[Finding] = []
        texts: list[str] = []
        labels: list[str | None] = []
        blank = 0
        for label, path in _named(given).items():
            lines = written(path, findings).split("\n")
            lines = lines[:-1] if not lines[-1] else lines
            kept = [line.strip() for line in lines if line.strip()]
            blank += len(lines) - len(kept)
            texts += kept
            labels += [label] * len(kept)
        if blank:
            findings.append(Finding("note", "blank lines are left out", blank, blank + len(texts)))
        if not texts:
            raise DataError(f"the files of {given} hold no lines of text")
        names = ", ".join(path.name for path in list(_named(given).values())[:6])
        what = f"texts, one a line, with one file a class ({names}): {len(texts)} in all"
        return Raw({"train": Texts(tuple(texts), tuple(labels))}, what, given.name, tuple(findings))


def _named(folder: Path) -> dict[str, Path]:
    """{class: file}: the files differ in what follows the point (x.pos, x.neg), or are all .txt; {} when it is not so."""
    paths = texts_in(folder)
    if not 2 <= len(paths) <= _MOST or any(split_of(path.name) for path in paths):
        return {}
    stems = {path.name.removesuffix(".gz").rpartition(".")[0] for path in paths}
    ends = [path.name.removesuffix(".gz").rpartition(".")[2].lower() for path in paths]
    if len(stems) == 1 and len(set(ends)) == len(ends) and not _OTHERS & set(ends):
        return dict(zip(ends, paths))
    if set(ends) == {"txt"}:
        return {path.name.removesuffix(".gz").rpartition(".")[0]: path for path in paths}
    return {}
