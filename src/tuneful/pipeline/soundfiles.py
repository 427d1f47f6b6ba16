"""Sounds that stay in their files, because they would not fit into memory: each heard once, then read when asked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.pipeline.lazy import THREADS, Lazy, Reader, Rows, stamp
from tuneful.runtime.sounds import read_sound


class SoundReader(Reader):
    """Sound files, decoded and brought to one rate and length at every reading."""

    def __init__(self, paths: Sequence[Any], rate: int, length: int) -> None:
        self.paths, self.rate, self.length = tuple(paths), rate, length
        self.shape, self.dtype = (1, length), np.dtype(np.int16)

    def read(self, rows: Rows) -> NDArray[np.int16]:
        """See `Reader.read`."""
        out = np.empty((len(rows), *self.shape), np.int16)
        for place, row in enumerate(rows):
            out[place] = read_sound(self.paths[row], self.rate, self.length)
        return out


def unread(paths: Sequence[Any], rate: int, length: int) -> tuple[Lazy, dict[int, str]]:
    """The sounds of files as a lazy array of those that can be read, and for the others what is wrong, by number.

    Cost: one decoding of every file, by threads; 16 bytes of each are kept.
    """
    reader = SoundReader(paths, rate, length)

    def look(number: int) -> tuple[str, bytes]:
        try:
            return "", stamp(reader.read(np.array([number]))[0])
        except DataError as error:
            return error.message.rpartition(": ")[2], b""

    with ThreadPoolExecutor(THREADS) as pool:
        looks = list(pool.map(look, range(len(paths))))
    good = [number for number, (trouble, _) in enumerate(looks) if not trouble]
    stamps = np.frombuffer(b"".join(looks[number][1] for number in good), np.uint64)
    nothing = np.zeros((len(good), 2, 0), np.int64)
    wrong = {number: trouble for number, (trouble, _) in enumerate(looks) if trouble}
    return Lazy(reader, np.array(good, np.int64), stamps, nothing), wrong
