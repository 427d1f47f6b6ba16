"""numpy's .npy files, one an array: x.npy and y.npy, x_train.npy and y_train.npy, and the like, in one folder.

They are read into memory where they fit, and else mapped. Nothing is unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from tuneful.core.errors import DataError
from tuneful.techniques.sources import mapped
from tuneful.techniques.sources.npz import pair
from tuneful.techniques.sources.raw import Raw, Source, files_in, fits


class Npy(Source):
    kind: Literal["npy"] = "npy"
    source: ClassVar[str] = "the .npy format, numpy NEP 1"
    cost: ClassVar[str] = "its size, in memory; on disk where it would not fit"

    def accepts(self, given: object) -> bool:
        return any(True for _ in files_in(given, _fits))

    def read(self, given: Path) -> Raw:
        folder = given if given.is_dir() else given.parent
        paths = list(files_in(folder, _fits))
        try:
            arrays = {path.stem: mapped.array(path) for path in paths}
        except (ValueError, OSError, EOFError) as error:
            raise DataError(
                f"{folder} holds a damaged .npy file: {str(error)[:120]}", "write it again with numpy.save"
            ) from None
        if fits(2.0 * sum(array.nbytes for array in arrays.values()))[0]:
            arrays = {name: np.array(array) for name, array in arrays.items()}
        parts = pair(arrays, str(folder))
        shape = "x".join(map(str, parts["train"].x.shape[1:]))
        counts = ", ".join(f"{len(part.y)} {split}" for split, part in parts.items())
        return Raw(parts, f".npy files with {counts} examples of {shape}", folder.name)


def _fits(path: Path) -> bool:
    return path.suffix.lower() == ".npy"
