"""Images that stay in their files, because they would not fit into memory: each looked at once, then read when asked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.pipeline.lazy import THREADS, Lazy, Reader, Rows, stamp, totals
from tuneful.runtime.pixels import read_image


class ImageReader(Reader):
    """Image files, decoded and brought to one size at every reading."""

    def __init__(self, paths: Sequence[bytes], channels: int, height: int, width: int) -> None:
        self.paths = tuple(paths)
        self.shape, self.dtype = (channels, height, width), np.dtype(np.uint8)

    def read(self, rows: Rows) -> NDArray[np.uint8]:
        """See `Reader.read`."""
        out = np.empty((len(rows), *self.shape), np.uint8)
        for place, row in enumerate(rows):
            out[place] = read_image(self.paths[row], *self.shape)
        return out


class _Look(NamedTuple):
    trouble: str
    stamp: bytes
    totals: NDArray[np.int64]


def unread(paths: Sequence[bytes], channels: int, height: int, width: int) -> tuple[Lazy, dict[int, str]]:
    """The images of files as a lazy array of those that can be read, and for the others what is wrong, by number.

    Cost: one decoding of every file, by threads; 8 bytes and 16 a channel of each are kept.
    """
    reader = ImageReader(paths, channels, height, width)

    def look(number: int) -> _Look:
        try:
            image = read_image(reader.paths[number], channels, height, width)
        except DataError as error:
            return _Look(error.message.rpartition(": ")[2], b"", np.zeros((2, channels), np.int64))
        return _Look("", stamp(image), totals(image))

    pieces = [range(start, min(start + 100, len(paths))) for start in range(0, len(paths), 100)]
    with ThreadPoolExecutor(THREADS) as pool:
        looks = [one for piece in pool.map(lambda piece: [look(i) for i in piece], pieces) for one in piece]
    good = [i for i, one in enumerate(looks) if not one.trouble]
    stamps = np.frombuffer(b"".join(looks[i].stamp for i in good), np.uint64)
    sums = np.stack([looks[i].totals for i in good]) if good else np.zeros((0, 2, channels), np.int64)
    return Lazy(reader, np.array(good, np.int64), stamps, sums), {
        i: one.trouble for i, one in enumerate(looks) if one.trouble
    }
