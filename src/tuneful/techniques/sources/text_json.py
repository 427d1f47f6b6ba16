"""Labelled texts in JSON: [[text, label], ...], {"train": [[text, label], ...], "test": ...}, or JSON Lines of objects.

A part whose name begins with "oos" (CLINC150: oos_train, oos_val, oos_test) or "ood" holds texts of no known class; they join
the split that the rest of the name says. In JSON Lines and lists of objects the keys are columns of a table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources import json_lines
from tuneful.techniques.sources.encoding import aside, parsed, written
from tuneful.techniques.sources.raw import Raw, Source, Stored, Table, Texts, by_split, files_in, head, split_of

_OUTSIDE = re.compile(r"(oos|ood|out_of_scope)[_-]?")
_SUFFIXES = (".json", ".jsonl", ".ndjson")


class TextJson(Source):
    kind: Literal["text_json"] = "text_json"
    source: ClassVar[str] = "RFC 8259 (JSON); JSON Lines; the layout of Larson et al., EMNLP 2019 (CLINC150)"
    cost: ClassVar[str] = "the text and its parsed form, in memory; JSON Lines on disk where they would not fit"

    def accepts(self, given: object) -> bool:
        return any(True for _ in files_in(given, _named))

    def read(self, given: Path) -> Raw:
        findings: list[Finding] = []
        paths = by_split(list(files_in(given, _named)), "JSON files") if given.is_dir() else {"train": given}
        found: dict[str, Any] = {}
        for split, path in paths.items():
            read = _read(path, findings)
            found |= read if set(read) != {"train"} else {split: read["train"]}
        kinds = {type(part).__name__ for part in found.values()}
        if len(kinds) > 1:
            raise DataError(f"{given} holds splits of different kinds ({', '.join(sorted(kinds))}); all must be of one")
        counts = " and ".join(f"{_count(part)} {split}" for split, part in found.items())
        stem = given.name.split(".")[0] if given.is_file() else given.name
        return Raw(found, f"JSON ({', '.join(path.name for path in paths.values())}) with {counts}", stem, tuple(findings))


def _named(path: Path) -> bool:
    if not path.name.lower().removesuffix(".gz").endswith(_SUFFIXES) or aside(path.name):
        return False
    return head(path, 64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{")


def _read(path: Path, findings: list[Finding]) -> dict[str, Any]:
    lines = path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson"))
    if lines and json_lines.large(path):
        return {"train": json_lines.table(path)}
    text = written(path, findings)
    rows: Any
    if lines:
        rows = _rows(path, text)
    else:
        rows = parsed(path, text)
    if isinstance(rows, Mapping):
        return _splits(path, cast("Mapping[str, Any]", rows))
    return {"train": _part(path, rows, "")}


def _rows(path: Path, text: str) -> list[Any]:
    rows: list[Any] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (json.JSONDecodeError, RecursionError) as error:
                raise DataError(f"{path}: line {number} is no JSON ({str(error)[:100]})", "is the file whole?") from None
    return rows


def _splits(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    outside: dict[str, Texts] = {}
    for name, rows in given.items():
        rest = _OUTSIDE.sub("", name.lower(), count=1)
        split = split_of(rest)
        if not split or not isinstance(rows, list):
            raise DataError(
                f'{path}: the key "{name[:60]}" names no split; a list of [text, label], or an object with train, valid and test is wanted'
            )
        part = _part(path, rows, name)
        if rest != name.lower() and isinstance(part, Texts):
            outside[split] = part
        else:
            found[split] = part
    for split, part in outside.items():
        here = found.get(split, Texts((), ()))
        found[split] = Texts((*here.texts, *part.texts), (*here.labels, *[None] * len(part.texts)))
    if "train" not in found:
        raise DataError(f"{path} holds no split named train (it holds {', '.join(map(str, given))})")
    return {split: found[split] for split in ("train", "valid", "test") if split in found}


def _part(path: Path, rows: Any, name: str) -> Any:
    where = f'{path}: "{name}"' if name else str(path)
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{where} holds no list of examples; [[text, label], ...] or [{{...}}, ...] is wanted")
    every = cast("list[Any]", rows)
    if all(isinstance(row, Mapping) for row in every):
        return _table(where, every)
    for number, row in enumerate(every, start=1):
        pair = cast("Any", row)
        if (
            not isinstance(pair, list)
            or len(pair) != 2
            or not isinstance(pair[0], str)
            or not isinstance(pair[1], str | int)
        ):  # type: ignore[arg-type]
            raise DataError(f"{where}, entry {number} is {json.dumps(row)[:80]}; [text, label] is wanted")
    return Texts(tuple(row[0] for row in every), tuple(str(row[1]) for row in every))


def _table(where: str, rows: list[Mapping[str, Any]]) -> Table:
    import polars as pl

    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    columns: dict[str, list[Any]] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        strange = next((at for at, v in enumerate(values) if not isinstance(v, str | int | float | bool | None)), None)
        if strange is not None:
            raise DataError(
                f'{where}: "{name}" of entry {strange + 1} is {type(values[strange]).__name__}; text, a number or true/false is wanted',
                "take it out of the objects",
            )
        plain = all(isinstance(v, int | float | None) and not isinstance(v, bool) for v in values)
        columns[name] = values if plain else [None if v is None else str(v).strip() for v in values]
    return Table(pl.DataFrame(columns, strict=False), where)


def _count(part: Any) -> int:
    if isinstance(part, Stored):
        return part.height
    return part.frame.height if isinstance(part, Table) else len(part.texts)
