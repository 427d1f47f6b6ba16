"""idx files, the format of MNIST and its relatives, plain or .gz: a file of images beside a file of labels.

Header: two zero bytes, a type code, the number of axes, then each axis as a big-endian 32-bit number.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.techniques.sources.raw import Arrays, Raw, Source, content, files_in, guard, head, split_of

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class Idx(Source):
    kind: Literal["idx"] = "idx"
    source: ClassVar[str] = "LeCun, Cortes & Burges, The MNIST database, 1998"
    cost: ClassVar[str] = "the unpacked size, in memory"

    def accepts(self, given: object) -> bool:
        return any(True for _ in files_in(given, _fits))

    def read(self, given: Path) -> Raw:
        paths = _beside(given) if given.is_file() else list(files_in(given, _fits))
        splits: dict[str, dict[str, Path]] = {}
        for path in paths:
            role = "labels" if _axes(path) == 1 else "images"
            split = splits.setdefault(split_of(path.name) or "train", {})
            if role in split:
                raise DataError(
                    f"{path.parent} holds two idx files of {role} for one split ({split[role].name}, {path.name}); one is wanted",
                    "name them after their splits, such as train-images-idx3-ubyte and t10k-images-idx3-ubyte",
                )
            split[role] = path
        for split, roles in splits.items():
            absent = {"labels", "images"} - set(roles)
            if absent:
                have = next(iter(roles.values()))
                raise DataError(
                    f"{have.name} has no file of {absent.pop()} beside it in {have.parent}; both are needed ({split})"
                )
        if "train" not in splits:
            raise DataError(f"{given} holds no idx files named train (it holds {', '.join(p.name for p in paths[:4])})")
        parts = {name: Arrays(read_idx(roles["images"]), read_idx(roles["labels"])) for name, roles in splits.items()}
        for split, part in parts.items():
            if len(part.x) != len(part.y):
                roles = splits[split]
                raise DataError(
                    f"{roles['images'].name} holds {len(part.x)} images and {roles['labels'].name} {len(part.y)} labels; "
                    "both must be equally many"
                )
        folder = given if given.is_dir() else given.parent
        return Raw(parts, f"idx files with {', '.join(f'{len(p.y)} {s}' for s, p in parts.items())} examples", folder.name)


def read_idx(path: Path) -> NDArray[Any]:
    """One idx file as an array. Raises DataError when the header or the length is wrong."""
    raw = content(path)
    kind, shape = _header(path, raw)
    dtype = np.dtype(kind)
    start, wanted = 4 + 4 * len(shape), math.prod(shape) * dtype.itemsize
    if len(raw) - start != wanted:
        word = "truncated" if len(raw) - start < wanted else "too long"
        raise DataError(
            f"{path} is {word}: its header promises {' x '.join(map(str, shape))} values ({wanted} bytes), and {len(raw) - start} "
            "bytes follow",
            "copy or download it again",
        )
    if not wanted:
        raise DataError(
            f"{path} holds nothing: its header says {' x '.join(map(str, shape))} values", "copy or download it again"
        )
    guard(wanted, str(path))
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _fits(path: Path) -> bool:
    try:
        start = head(path, 64)
    except DataError:
        return "-idx" in path.name  # its reading tells what is wrong with it
    return len(start) >= 8 and start[:2] == b"\0\0" and start[2] in _TYPES and 1 <= start[3] <= 4


def _axes(path: Path) -> int:
    return head(path, 64)[3]


def _header(path: Path, raw: bytes) -> tuple[str, tuple[int, ...]]:
    axes = raw[3]
    if len(raw) < 4 + 4 * axes:
        raise DataError(f"{path} is truncated: it ends within its header", "copy or download it again")
    return _TYPES[raw[2]], struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])


def _beside(path: Path) -> list[Path]:
    """A file of images or labels and its partner for the same split."""
    split = split_of(path.name)
    found = [other for other in files_in(path.parent, _fits) if split_of(other.name) == split]
    return [path, *(other for other in found if other != path and (_axes(other) == 1) != (_axes(path) == 1))]
