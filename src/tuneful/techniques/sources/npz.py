"""numpy's .npz archives of named arrays: x and y, x_train and y_train, train_images and train_labels, and the like.

Nothing is unpickled. The header of every array is read before any array, so that a small archive cannot fill the memory.
"""

from __future__ import annotations

import math
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.techniques.sources import mapped
from tuneful.techniques.sources.raw import SPLITS, Arrays, Raw, Source, by_split, files_in, fits

_INPUT = {"x", "xs", "image", "images", "img", "imgs", "data", "features", "feature", "input", "inputs", "arr0"}
_TARGET = {"y", "ys", "label", "labels", "target", "targets", "class", "classes", "output", "outputs", "arr1"}


class Npz(Source):
    kind: Literal["npz"] = "npz"
    source: ClassVar[str] = "the .npy format, numpy NEP 1"
    cost: ClassVar[str] = "the unpacked size, in memory; on disk where it would not fit"

    def accepts(self, given: object) -> bool:
        return any(True for _ in files_in(given, _fits))

    def read(self, given: Path) -> Raw:
        paths = by_split(list(files_in(given, _fits)), ".npz files")
        parts: dict[str, Arrays] = {}
        for split, path in paths.items():
            with_names = pair(_load(path), str(path))
            parts |= with_names if len(paths) == 1 else {split: with_names["train"]}
        shape = "x".join(map(str, parts["train"].x.shape[1:]))
        return Raw(parts, f"an .npz archive with {', '.join(f'{len(p.y)} {s}' for s, p in parts.items())} examples of {shape}",
                   given.stem if given.is_file() else given.name)  # fmt: skip


def _fits(path: Path) -> bool:
    try:
        if path.suffix == ".npz":
            return True
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04" and file.read(200).find(b".npy") >= 0
    except OSError:
        return False


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        headers = _headers(path)
        if not fits(2.0 * sum(headers.values()))[0]:
            return mapped.members(path)
        with np.load(path, allow_pickle=False) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers as Python 2 wrote them
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"{path} is not a whole .npz archive: {str(error)[:120]}", "write it again with numpy.savez"
        ) from None


def _headers(path: Path) -> dict[str, int]:
    """Bytes that each array of an archive says it needs. Raises DataError for arrays that cannot be numbers or text."""
    found: dict[str, int] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as file:
                shape, _, dtype = mapped.header(file)
                start = file.tell()
            name = info.filename.removesuffix(".npy")
            if dtype.hasobject:
                raise DataError(
                    f'{path}: array "{name}" holds Python objects; only numbers and text are read, because objects can run code',
                    "convert it with numpy.array(..., dtype=float) or dtype=str, and save it again",
                )
            found[name] = math.prod(shape) * dtype.itemsize
            if info.file_size - start != found[name]:
                raise DataError(
                    f'{path}: array "{name}" says that it has shape {list(shape)} ({found[name]} bytes), and '
                    f"{info.file_size - start} bytes are there",
                    "write the file again with numpy.savez",
                )
    return found


def pair(arrays: Mapping[str, NDArray[Any]], where: str) -> dict[str, Arrays]:
    """Named arrays as splits: inputs and targets are told by their names. Raises DataError when that fails."""
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in arrays.items():
        split, role = _role(name)
        if role:
            found.setdefault(split, {})[role] = array
    whole = {split: Arrays(roles["x"], roles["y"]) for split, roles in found.items() if len(roles) == 2}
    half = [split for split, roles in found.items() if len(roles) == 1]
    if "train" not in whole or any(split in ("valid", "test") for split in half):
        raise DataError(
            f"{where} holds the arrays {_names(arrays)}; inputs and labels of train could not be told among them",
            "name them x and y, or x_train, y_train, x_test and y_test",
        )
    return whole


def _names(arrays: Iterable[str]) -> str:
    return ", ".join(list(arrays)[:8]) or "(none)"


def _role(name: str) -> tuple[str, str]:
    """("train", "x") for x_train, X, train_images and the like; ("", "") for other names."""
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    glued = "".join(words)
    for word in sorted(SPLITS, key=len, reverse=True):  # xtrain, trainx
        if glued != word and word not in words and len(word) > 2 and (glued.startswith(word) or glued.endswith(word)):
            words = [word, glued.removeprefix(word) if glued.startswith(word) else glued.removesuffix(word)]
            break
    split = next((SPLITS[word] for word in words if word in SPLITS), "train")
    rest = "".join(word for word in words if word not in SPLITS)
    return split, "x" if rest in _INPUT else "y" if rest in _TARGET else ""
