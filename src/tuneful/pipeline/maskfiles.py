"""Files of masks: their values as they are written, at any size; and what is to be known of each before classes are decided.

A mask is looked at once, by threads, and forgotten: of a thousand masks of photographs no more than a few lie in memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.runtime.pixels import read_header, show_path

MOST = 100_000  # different values that are counted; no mask honestly has more
FEW = 20  # masks that are kept, to see whether their values lie in one piece
_SIDE = 1024  # pixels a side of those
_ROWS = 1 << 20  # pixels that are counted together


def read_mask(path: bytes) -> tuple[NDArray[Any], bool]:
    """The values of a mask file [H, W], palette entries by their number, and whether they are colours (red, green, blue as one
    number). Raises DataError that names the file."""
    from PIL import Image

    header = read_header(path)
    if header.trouble:
        raise DataError(f"{show_path(path)} cannot be read as a mask: {header.trouble}", "replace or remove the file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                image.load()
                if image.mode in ("LA", "La", "PA"):
                    image = image.convert("L" if image.mode != "PA" else "RGB")
                array = np.asarray(
                    image if image.mode in ("1", "L", "P") or image.mode.startswith("I") else image.convert("RGB")
                )
    except Exception as error:  # Pillow's decoders raise anything for damaged files
        why = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(
            f"{show_path(path)} cannot be read as a mask: it is damaged ({why})", "replace or remove the file"
        ) from None
    if array.ndim == 2:
        return array.astype(np.uint8) if array.dtype == np.bool_ else array, False
    red, green, blue = array[..., 0], array[..., 1], array[..., 2]
    if bool((red == green).all() and (green == blue).all()):
        return np.ascontiguousarray(red), False
    out = red.astype(np.int32)
    for other in (green, blue):
        out <<= 8
        out |= other
    return out, True


def nearest(mask: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """A mask [H, W] at another size, each pixel from the nearest of the old ones; an area that both have is not moved."""
    if mask.shape == (height, width):
        return mask
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(np.int64)
    return mask[rows[:, None], columns]


@dataclass
class Look:
    """What is known of one mask. counts: pixels of each value; things: how many values there are beside 0, and the largest;
    small: the mask, at most 1024 pixels a side, where it has such values."""

    counts: dict[int, int]
    coloured: bool
    small: NDArray[Any] | None

    @property
    def things(self) -> tuple[int, int]:
        """How many values there are beside 0, and the largest of them."""
        values = [value for value in self.counts if value]
        return len(values), max(values, default=0)


def look(mask: NDArray[Any], coloured: bool = False) -> Look:
    """The mask [H, W] looked at; numbers below 0 are no values."""
    counts: dict[int, int] = {}
    step = max(1, _ROWS // max(1, mask.shape[1]))
    for start in range(0, len(mask), step):
        values, often = np.unique(mask[start : start + step], return_counts=True)
        for value, n in zip(values.tolist(), often.tolist(), strict=True):
            if value >= 0 and (value in counts or len(counts) < MOST):
                counts[value] = counts.get(value, 0) + n
    small = None
    if any(counts.keys()) and not coloured:
        small = nearest(mask, min(mask.shape[0], _SIDE), min(mask.shape[1], _SIDE))
        small = np.where(small < 0, 0, small).astype(np.uint16 if max(counts) < 1 << 16 else np.int64)
    return Look(counts, coloured, small)


@dataclass
class Seen:
    """What is known of the masks of train. few: some of those that hold anything; each: see `Look.things`."""

    n: int = 0
    coloured: bool = False
    each: list[tuple[int, int]] = field(default_factory=list)
    few: list[NDArray[Any]] = field(default_factory=list)
    _grey: dict[int, int] = field(default_factory=dict)
    _colours: dict[int, int] = field(default_factory=dict)

    def add(self, one: Look) -> None:
        """Another mask."""
        self.n, self.coloured = self.n + 1, self.coloured or one.coloured
        counts = self._colours if one.coloured else self._grey
        for value, often in one.counts.items():
            if value in counts or len(counts) < MOST:
                counts[value] = counts.get(value, 0) + often
        self.each.append(one.things)
        if one.small is not None and len(self.few) < FEW:
            self.few.append(one.small)

    @property
    def counts(self) -> dict[int, int]:
        """Pixels of each value; where any mask is coloured, those of grey ones as colours."""
        if not self.coloured:
            return dict(self._grey)
        found = dict(self._colours)
        for value, often in self._grey.items():
            found[value * 0x010101] = found.get(value * 0x010101, 0) + often
        return found


def seen(masks: Iterable[NDArray[Any]]) -> Seen:
    """What is known of arrays that are masks."""
    found = Seen()
    for mask in masks:
        found.add(look(mask))
    return found


def piecewise(n: int, each: int = 16) -> Iterator[range]:
    """The numbers below n, a few together: what threads may hold at once."""
    return (range(start, min(start + each, n)) for start in range(0, n, each))
