"""Masks as PNG files, one for each image, and a line of a table for each: where it is, and how much of it each class covers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tuneful.core.errors import DataError

if TYPE_CHECKING:
    from tuneful.runtime.load import Model


def write(model: Model, x: Any, names: Sequence[str], folder: Path) -> tuple[list[str], list[list[Any]]]:
    """(header, rows) of the table. Files get masks at their own size, arrays at the size of the network.

    Raises DataError where the folder is a file or cannot be made.
    """
    from tuneful.runtime.pixels import write_mask

    files = isinstance(x, list)
    found: Iterable[Any] = model.masks(cast("list[bytes]", x)) if files else model.predict(x)
    named = list(names) or [str(row) for row in range(1, len(x) + 1)]
    paths = places(named, folder)
    rows: list[list[Any]] = []
    for name, path, mask in zip(named, paths, found, strict=True):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"the folder {path.parent} cannot be made: {error.strerror or error}", "name another with -o"
            ) from None
        write_mask(path, mask, len(model.labels))
        shares = np.bincount(np.asarray(mask).ravel(), minlength=len(model.labels)) / mask.size
        rows.append([name, str(path), *(float(f"{share:.6g}") for share in shares)])
    return ["file" if files else "row", "mask", *(f"share({label})" for label in model.labels)], rows


def places(names: Sequence[str], folder: Path, ending: str = ".png") -> list[Path]:
    """Where each file goes: the path of its image below the folder, with this ending; behind the old one where two would meet."""
    plain = [folder / Path(name.lstrip("/")).with_suffix(ending) for name in names]
    if len(set(plain)) == len(plain):
        return plain
    return [folder / f"{name.lstrip('/')}{ending}" for name in names]
