"""Rows of a table that does not fit, encoded once and laid into a file that is mapped into memory.

    a row: its numbers as float32, then one byte a category (which level), and one a yes or no     4 F + K bytes

which is what `runtime.preprocess` made of it, packed: a category of 50 levels takes 1 byte and not 200. Any row is found by its
number, so that a run sees the same batches, to the last bit, as if all were in memory. The file has no name: it goes with the
process, however that ends. What was read of the map is handed back, so that it does not fill the memory of the process.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.pipeline.lazy import Reader, Rows
from tuneful.techniques.sources.stored import place, room

NOTHING = 255  # the byte of a category none of whose features is set
_AROUND = 1 << 16  # bytes that a look at one place of a map may bring in
_MAPPED = 1 << 26  # bytes of the map that may stay in memory


@dataclass(frozen=True)
class Packing:
    """How the D features of a row are packed. numbers: the places of the F features that are any number; starts, widths: of
    each of the K blocks of features of which one at most is 1 and the others are 0."""

    features: int
    numbers: Rows
    starts: Rows
    widths: Rows

    @property
    def size(self) -> int:
        """Bytes a row."""
        return 4 * len(self.numbers) + len(self.starts)

    def pack(self, x_ND: NDArray[np.float32]) -> NDArray[np.uint8]:
        """[N, size]"""
        out = np.empty((len(x_ND), self.size), np.uint8)
        split = 4 * len(self.numbers)
        out[:, :split] = np.ascontiguousarray(x_ND[:, self.numbers]).view(np.uint8)
        for number, (start, width) in enumerate(zip(self.starts, self.widths, strict=True)):
            block = x_ND[:, start : start + width]
            out[:, split + number] = np.where(block.any(axis=1), block.argmax(axis=1), NOTHING)
        return out

    def unpack(self, packed: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[N, D], as it was."""
        out = np.zeros((len(packed), self.features), np.float32)
        split = 4 * len(self.numbers)
        out[:, self.numbers] = np.ascontiguousarray(packed[:, :split]).view(np.float32)
        codes = packed[:, split:]
        rows, blocks = np.nonzero(codes != NOTHING)
        out[rows, self.starts[blocks] + codes[rows, blocks]] = 1.0
        return out


def packing(schema: Mapping[str, Any]) -> Packing:
    """How the rows of a table's schema are packed."""
    numbers: list[int] = []
    blocks: list[tuple[int, int]] = []
    at = 0
    for column in schema["columns"]:
        if column["type"] == "category":
            width = len(column["levels"]) + bool(column["other"]) + bool(column["indicator"])
            blocks.append((at, width))
            at += width
            continue
        own = len(column["parts"]) if column["type"] == "date" else 1
        numbers += range(at, at + own)
        at += own
        if column["indicator"]:
            blocks.append((at, 1))
            at += 1
    starts, widths = (np.array(part, np.int64) for part in zip(*blocks)) if blocks else (np.empty(0, np.int64),) * 2
    return Packing(at, np.array(numbers, np.int64), starts, widths)


class Mapped:
    """A file without a name, written from its beginning to its end, then read at any place by several threads."""

    def __init__(self, size: int, what: str) -> None:
        """size: bytes a row; what: the thing that is written, for errors."""
        self.size, self.what, self.rows = size, what, 0
        self.file = tempfile.TemporaryFile(dir=place())  # noqa: SIM115 - it lives as long as its reader
        weakref.finalize(self, self.file.close)
        self._map: mmap.mmap | None = None
        self._lock, self._seen = threading.Lock(), 0

    def add(self, rows: NDArray[np.uint8]) -> None:
        """Rows [N, size] at the end. Raises DataError when the disk is full."""
        room(rows.nbytes, self.what)
        try:
            self.file.write(rows.data)
            self.file.flush()
        except OSError as error:
            raise DataError(
                f"{self.what} cannot be written to {place()}: {error.strerror or error}",
                "make room, or give another place with TMPDIR=FOLDER",
            ) from None
        self.rows += len(rows)

    def read(self, rows: Rows) -> NDArray[np.uint8]:
        """[len(rows), size]. Rows that follow one another are read in one go."""
        if len(rows) and (np.diff(rows) == 1).all():
            return self._stretch(int(rows[0]), len(rows))
        with self._lock:
            if self._map is None:
                self._map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
                if sys.platform == "linux":
                    self._map.madvise(mmap.MADV_RANDOM)
            found = np.frombuffer(self._map, np.uint8).reshape(-1, self.size)
        out = found[rows]
        with self._lock:
            self._seen += len(rows) * _AROUND
            if self._seen > _MAPPED and sys.platform == "linux":
                self._map.madvise(mmap.MADV_DONTNEED)
                self._seen = 0
        return out

    def _stretch(self, first: int, count: int) -> NDArray[np.uint8]:
        out = np.empty((count, self.size), np.uint8)
        into, at = out.reshape(-1).data, first * self.size
        while len(into):
            got = os.preadv(self.file.fileno(), [into], at)
            if not got:
                raise DataError(f"{self.what} has been cut short on disk", "begin again")
            into, at = into[got:], at + got
        return out


class TableReader(Reader):
    """The encoded rows of a table, unpacked at every reading."""

    def __init__(self, packing: Packing, file: Mapped) -> None:
        self.packing, self.file = packing, file
        self.shape, self.dtype = (packing.features,), np.dtype(np.float32)

    def read(self, rows: Rows) -> NDArray[np.float32]:
        """See `Reader.read`."""
        return self.packing.unpack(self.file.read(rows))
