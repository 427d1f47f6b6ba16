"""Parallel text: files whose lines translate one another, such as train.en and train.ja, plain or .gz.

A folder holds both files of each split; of a single file the other one is found beside it. What follows the last point says the language: a code of ISO 639-1 (with a region, such as zh-cn), or src and tgt, source and target.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.encoding import aside, written
from tuneful.techniques.sources.raw import Pairs, Raw, Source, by_split, listing

_ALL = (  # ISO 639-1, two letters each
    "aaabaeafakamanarasavayazbabebgbibmbnbobrbscacechcocrcscucvcydadedvdzeeeleneoeseteufafffifjfo"
    "frfygagdglgngugvhahehihohrhthuhyhziaidieigiiikioisitiujajvkakgkikjkkklkmknkokrkskukvkwkylalb"
    "lglilnloltlulvmgmhmimkmlmnmrmsmtmynanbndnengnlnnnonrnvnyocojomorospapiplpsptqurmrnrorurwsasc"
    "sdsesgsiskslsmsnsosqsrssstsusvswtatetgthtitktltntotrtstttwtyugukuruzvevivowawoxhyiyozazhzu"
)
CODES = frozenset(_ALL[at : at + 2] for at in range(0, len(_ALL), 2))
FIRST = ("src", "source")  # the side that is read, by its name
SECOND = ("tgt", "target", "trg")
_LANGUAGE = re.compile(r"([a-z]{2})(?:[-_][a-z]{2,4})?")
_NOT_TEXT = frozenset(("py", "so", "md", "ps", "tr", "ts"))  # codes that are endings of other files, where they stand alone


class ParallelText(Source):
    kind: Literal["parallel_text"] = "parallel_text"
    source: ClassVar[str] = "the layout of the shared tasks of the Conference on Machine Translation (WMT)"
    cost: ClassVar[str] = "the text, in memory"

    def accepts(self, given: object) -> bool:
        return isinstance(given, Path) and len(_sides(given)) >= 2

    def read(self, given: Path) -> Raw:
        sides = _sides(given)
        if len(sides) > 2:
            raise DataError(
                f"{given} holds text in {len(sides)} languages ({', '.join(sides)}); two are wanted",
                "put the two of them into a folder of their own",
            )
        first, second = sorted(sides, key=lambda name: (name in SECOND, name not in FIRST, name))
        findings: list[Finding] = []
        parts: dict[str, Pairs] = {}
        ours, theirs = (by_split(sides[name], f"files of {name}") for name in (first, second))
        for split in sorted({*ours, *theirs}):
            if split not in ours or split not in theirs:
                path, other = _lone(ours, theirs, split, first, second)
                raise DataError(
                    f"{path.parent} holds {path.name} and nothing in {other} that belongs to it; both sides are wanted",
                    f"add the {other} side of {split}, or take {path.name} away",
                )
            parts[split] = _pairs(ours[split], theirs[split], (first, second), findings)
        counts = ", ".join(f"{len(part.sources)} {split}" for split, part in parts.items())
        name = given.name if given.is_dir() else given.name.split(".")[0]
        return Raw(parts, f"parallel text ({first} and {second}): {counts} pairs of lines", name, tuple(findings))


def _lone(ours: dict[str, Path], theirs: dict[str, Path], split: str, first: str, second: str) -> tuple[Path, str]:
    """The file of a split that stands alone, and the language that is missing beside it."""
    return (ours[split], second) if split in ours else (theirs[split], first)


def language(name: str) -> str:
    """The language that a file's name tells, or ""; such as "ja" of "train.ja.gz"."""
    stem, point, end = name.lower().removesuffix(".gz").removesuffix(".txt").rpartition(".")
    found = _LANGUAGE.fullmatch(end)
    return end if point and stem and (end in (*FIRST, *SECOND) or (found is not None and found[1] in CODES)) else ""


def _sides(given: Path) -> dict[str, list[Path]]:
    """{language: its files}. Of a single file: its own and that of the one other language beside it."""
    folder = given if given.is_dir() else given.parent
    if not given.exists() or (given.is_file() and not language(given.name)):
        return {}
    found: dict[str, list[Path]] = {}
    for entry in listing(folder):
        path = Path(entry.path)
        if (told := language(path.name)) and not aside(path.name) and path.is_file():
            found.setdefault(told, []).append(path)
    if given.is_file():
        stem = _stem(given)
        found = {name: [path for path in paths if _stem(path) == stem] for name, paths in found.items()}
        found = {name: paths for name, paths in found.items() if paths}
    if len(found) < 2 or not {_stem(path) for path in next(iter(found.values()))} & {
        _stem(path) for paths in list(found.values())[1:] for path in paths
    }:
        return {}
    return found if not set(found) <= _NOT_TEXT else {}


def _stem(path: Path) -> str:
    return path.name.lower().removesuffix(".gz").removesuffix(".txt").rpartition(".")[0]


def _pairs(ours: Path, theirs: Path, names: tuple[str, str], findings: list[Finding]) -> Pairs:
    first, second = (_lines(path, findings) for path in (ours, theirs))
    if len(first) != len(second):
        raise DataError(
            f"{ours.name} has {len(first)} lines and {theirs.name} has {len(second)}; line by line they must translate one another",
            "look for lines that were cut in two, or for a file that is not whole",
        )
    return Pairs(tuple(first), tuple(second), names)


def _lines(path: Path, findings: list[Finding]) -> list[str]:
    lines = written(path, findings).split("\n")
    return [line.strip() for line in (lines[:-1] if not lines[-1] else lines)]


__all__ = ["CODES", "FIRST", "SECOND", "ParallelText", "language"]
