"""Explanations as files, one for each example: a picture where it is an image, else numbers as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tuneful.cli.masks import places
from tuneful.core.errors import DataError

if TYPE_CHECKING:
    from tuneful.runtime.load import Model


def write(model: Model, x: Any, names: Sequence[str], folder: Path) -> list[str]:
    """Write what explains the prediction of each example of raw input, and return the paths.

    An image becomes a picture with the map of the predicted class laid over it; of anything else the map itself is written, a row
    a line of places, or one place a line. Raises ModelError where the network has no map, DataError where a file cannot be written.
    """
    from tuneful.runtime.explain import chosen, picture

    encoded = model.encoded(x)
    maps = chosen(model.kind, *model.mapped(encoded))
    image = model.schema["kind"] == "image"
    paths = places(names, folder, ".png" if image else ".csv")
    for path, example, one in zip(paths, encoded, maps, strict=True):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if image:
                path.write_bytes(picture(example, one))
                continue
            with path.open("w", encoding="utf-8", newline="") as file:
                rows = np.atleast_2d(one) if one.ndim > 1 else one[:, None]
                csv.writer(file, lineterminator="\n").writerows([[float(f"{value:.6g}") for value in row] for row in rows])
        except OSError as error:
            raise DataError(
                f"{path} cannot be written: {error.strerror or error}", "name another folder with --explain"
            ) from None
    return [str(path) for path in paths]


__all__ = ["write"]
