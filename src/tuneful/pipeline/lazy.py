"""Rows that stay where they are until someone asks: as much of an array's face as the pipeline needs.

    x = Lazy(reader, rows, stamps, sums)      # len(x), x.shape, x.dtype, x.nbytes as of the array that it stands for
    x[5], x[10:20], x[indices]                # arrays, read now; a few threads where they are many
    x.take(indices)                           # fewer rows, still unread

A reader gives rows by number and may be asked by several threads at once: files of images here, row groups of a table alike.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.techniques.sources import guard

THREADS = 4
_MANY = 64  # rows from which on threads pay

Rows = NDArray[np.int64]


class Reader(ABC):
    """Where rows come from. shape: of one row; dtype: of its numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def read(self, rows: Rows) -> NDArray[Any]:
        """[len(rows), *shape], in the order asked for. Called by several threads at once. Raises DataError."""


@dataclass(frozen=True, eq=False)
class Lazy:
    """Rows of a reader, in an order.

    rows: their numbers; stamps: one number each, that equal rows share (`stamp`); sums: [N, 2, C], sums of the values and of
    their squares per channel, whole numbers, so that means and deviations of any part need no reading.
    """

    reader: Reader
    rows: Rows
    stamps: NDArray[np.uint64]
    sums: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self.rows), *self.reader.shape)

    @property
    def ndim(self) -> int:
        """As of an array."""
        return 1 + len(self.reader.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of an array."""
        return self.reader.dtype

    @property
    def nbytes(self) -> int:
        """What the array would take."""
        return len(self.rows) * int(np.prod(self.reader.shape)) * self.reader.dtype.itemsize

    def __getitem__(self, which: int | slice | Rows) -> NDArray[Any]:
        chosen = self.rows[which]
        if isinstance(chosen, np.integer):
            return self.reader.read(np.array([chosen]))[0]
        if len(chosen) < _MANY:
            return self.reader.read(chosen)
        with ThreadPoolExecutor(THREADS) as pool:
            out = np.empty((len(chosen), *self.reader.shape), self.reader.dtype)

            def fill(start: int) -> None:
                out[start : start + _MANY] = self.reader.read(chosen[start : start + _MANY])

            list(pool.map(fill, range(0, len(chosen), _MANY)))
        return out

    def __array__(self, dtype: Any = None, copy: Literal[True] | None = None) -> NDArray[Any]:
        """All of it, for those who can only deal with arrays. Raises DataError when it would not fit."""
        guard(float(self.nbytes), f"reading {len(self)} examples at once")
        return np.asarray(self[:], dtype)

    def take(self, indices: Rows) -> Lazy:
        """Some of the rows, unread."""
        return replace(self, rows=self.rows[indices], stamps=self.stamps[indices], sums=self.sums[indices])


def joined(a: Any, b: Any) -> Any:
    """The rows of two arrays, one after the other; of one reader's rows, unread still."""
    if isinstance(a, Lazy) and isinstance(b, Lazy) and a.reader is b.reader:
        both = {name: np.concatenate([getattr(a, name), getattr(b, name)]) for name in ("rows", "stamps", "sums")}
        return replace(a, **both)
    return np.concatenate([a[:], b[:]])


def stamp(row: NDArray[Any]) -> bytes:
    """8 bytes that equal rows share, and others, but for one chance in 2^64, do not."""
    return hashlib.blake2b(row.tobytes(), digest_size=8).digest()


def totals(row: NDArray[np.uint8]) -> NDArray[np.int64]:
    """[2, C]: the sums of the values of [C, ...] and of their squares, exact."""
    wide = row.reshape(len(row), -1).astype(np.int64)
    return np.stack([wide.sum(axis=1), (wide * wide).sum(axis=1)])
