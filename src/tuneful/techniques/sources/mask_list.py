"""A CSV that names images and their masks, with a split where it says so.

    image,mask,split             image column: path, file, filename, image ...; mask column: mask, mask_path, segmentation ...
    a/1.png,b/1.png,train        other columns are told and not used
    a/2.png,b/2.png,test

Paths are relative to the CSV.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.techniques.sources.filelist import PATHS, SPLIT_COLUMNS, beginning, column, listed
from tuneful.techniques.sources.folder import media_of, printable
from tuneful.techniques.sources.raw import SPLITS, Masked, Raw, Source

_MASKS = ("mask", "mask_path", "masks", "mask_file", "segmentation", "annotation", "label_path", "label_image")
_LOOK = 20  # rows that are looked at


class MaskList(Source):
    kind: Literal["mask_list"] = "mask_list"
    source: ClassVar[str] = "the lists of Kaggle's segmentation tasks"
    cost: ClassVar[str] = (
        "every image and mask is decoded and brought to one size; images stay in their files where they would not fit"
    )

    def accepts(self, given: object) -> bool:
        found = beginning(given)
        at, beside = (column(found[0] if found else [], known) for known in (PATHS, _MASKS))
        if at is None or beside is None or not isinstance(given, Path):
            return False
        named = [row[beside] for row in found[1:_LOOK] if len(row) == len(found[0])]
        return any(name and media_of(os.fsencode(given.parent / name)) == "image" for name in named)

    def read(self, given: Path) -> Raw:
        found = listed(given)
        names = found[0]
        at, beside, split = (column(names, known) for known in (PATHS, _MASKS, SPLIT_COLUMNS))
        assert at is not None
        assert beside is not None
        gathered: dict[str, list[tuple[bytes, bytes]]] = {}
        alone = 0
        for line, row in enumerate(found[1:], start=2):
            if len(row) != len(names):
                raise DataError(f"{given}: line {line} has {len(row)} fields; the header has {len(names)}")
            word = row[split].strip().lower() if split is not None else "train"
            if word not in SPLITS:
                raise DataError(f'{given}: column "{names[split or 0]}" holds {word!r}; it must be train, valid or test')
            if not row[beside].strip():
                alone += 1
                continue
            gathered.setdefault(SPLITS[word], []).append((_below(given, row[at]), _below(given, row[beside])))
        if not gathered.get("train"):
            raise DataError(f"{given} names no image of train with a mask")
        parts = {s: Masked(tuple(a for a, _ in pairs), tuple(b for _, b in pairs)) for s, pairs in gathered.items()}
        findings = [Finding("warning", "images have no mask and are left out", alone, len(found) - 1)] if alone else []
        unused = [name for number, name in enumerate(names) if number not in (at, beside, split)]
        if unused:
            findings.append(Finding("note", "columns of the list are not used", len(unused), len(names), tuple(unused[:5])))
        counts = ", ".join(f"{len(part.paths)} {name}" for name, part in parts.items())
        return Raw(parts, f"a list ({given.name}) of images with masks, {counts}", given.stem, tuple(findings))


def _below(table: Path, name: str) -> bytes:
    path = Path(name.strip())
    if path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"{table} names the file {printable(name)}, which does not lie below {table.parent}",
            "write paths relative to the list",
        )
    return os.fsencode(table.parent / path)
