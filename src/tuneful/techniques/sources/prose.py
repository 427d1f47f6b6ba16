"""Plain text, to learn what comes next: one .txt file whose lines are no table."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from tuneful.core.task import Finding
from tuneful.techniques.sources.encoding import first_lines, is_text, written
from tuneful.techniques.sources.raw import Prose, Raw, Source

_SUFFIXES = (".txt", ".text", ".txt.gz")


class PlainText(Source):
    kind: Literal["plain_text"] = "plain_text"
    source: ClassVar[str] = "text as it is; UTF-8, or what it most likely is"
    cost: ClassVar[str] = "the text, in memory"

    def accepts(self, given: object) -> bool:
        if not isinstance(given, Path) or not given.is_file() or not given.name.lower().endswith(_SUFFIXES):
            return False
        if not is_text(given):
            return False
        lines = [line for line in first_lines(given)[:50] if line.strip()]
        return not any(_columns(lines, by) for by in "\t;,|")

    def read(self, given: Path) -> Raw:
        findings: list[Finding] = []
        text = written(given, findings)
        what = f"plain text of {len(text)} letters and {text.count(chr(10)) + 1} lines"
        return Raw({"train": Prose(text)}, what, given.name.split(".")[0], tuple(findings))


def _columns(lines: list[str], by: str) -> bool:
    """Has every line the same number of cells, two or more?"""
    counts = {line.count(by) for line in lines}
    return len(lines) >= 2 and len(counts) == 1 and min(counts) > 0
