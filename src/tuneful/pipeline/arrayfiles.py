"""Arrays that stay in their files, because they would not fit into memory: each example looked at once, then read when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.pipeline.lazy import Lazy, Reader, Rows, stamp, totals

_STEP = 1 << 24  # bytes that are looked at together

Shape = Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]


class ArrayReader(Reader):
    """Rows of an array that is mapped into memory, brought into the shape and type of examples at every reading."""

    def __init__(self, array: NDArray[Any], shaped: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        self.array, self.shaped = array, shaped
        first = shaped(np.asarray(array[:1]))
        self.shape, self.dtype = tuple(first.shape[1:]), first.dtype

    def read(self, rows: Rows) -> NDArray[Any]:
        """See `Reader.read`."""
        follow = len(rows) > 1 and bool((np.diff(rows) == 1).all())
        found = self.array[rows[0] : rows[-1] + 1] if follow else self.array[rows]
        return self.shaped(np.array(found))


def unread(given: Mapping[str, NDArray[Any]], shaped: Shape) -> dict[str, Lazy]:
    """Mapped arrays of all parts as lazy ones. shaped: what brings arrays of all parts into the shape of examples.

    Cost: all is read once; 16 bytes of an example are kept, of images 16 more for each channel.
    """
    few = {part: np.asarray(x[:1]) for part, x in given.items()}

    def one(part: str) -> Callable[[NDArray[Any]], NDArray[Any]]:
        return lambda rows: shaped({**few, part: rows})[part]

    return {part: _looked_at(ArrayReader(x, one(part)), len(x)) for part, x in given.items()}


def _looked_at(reader: ArrayReader, n: int) -> Lazy:
    whole = reader.dtype == np.uint8
    stamps = np.empty(n, np.uint64)
    sums = np.zeros((n, 2, reader.shape[0] if whole else 0), np.int64)
    for rows in pieces(n, int(np.prod(reader.shape)) * reader.dtype.itemsize):
        found = reader.read(rows)
        found = found + 0.0 if found.dtype.kind == "f" else found  # -0.0 is 0.0
        stamps[rows] = np.frombuffer(b"".join(stamp(row) for row in found), np.uint64)
        if whole:
            sums[rows] = np.stack([totals(row) for row in found])
    return Lazy(reader, np.arange(n), stamps, sums)


def pieces(n: int, size: int) -> Iterator[Rows]:
    """The numbers 0 ... n - 1, as many together as may be looked at when each stands for so many bytes."""
    step = max(1, _STEP // max(1, size))
    return (np.arange(start, min(start + step, n)) for start in range(0, n, step))
