"""Arrays that memory need not hold: rows written one after others into a file without a name, which is mapped into memory.

    y = flat.array(pieces, (H, W), np.int16, "the masks")     # [N, H, W], in the face of any other array
    flat.gathered(y, indices, "the masks of train")           # some of its rows, in a file again

Pages of such an array are read when they are touched and can go at any moment. The file goes with the array, however that ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tuneful.core.errors import DataError
from tuneful.techniques.sources.stored import place, room

_STEP = 1 << 24  # bytes of rows that are looked at together


def array(pieces: Iterable[NDArray[Any]], row: tuple[int, ...], dtype: DTypeLike, what: str) -> NDArray[Any]:
    """[N, *row] of pieces [n, *row], in their order. what: the thing that is written, for errors.

    Raises: DataError when the disk is full, and what the pieces raise.
    """
    n = 0
    with tempfile.TemporaryFile(dir=place()) as file:
        for piece in pieces:
            room(piece.nbytes, what)
            try:
                file.write(np.ascontiguousarray(piece, dtype).reshape(-1).view(np.uint8).data)
            except OSError as error:
                raise DataError(
                    f"{what} cannot be written to {place()}: {error.strerror or error}",
                    "make room, or give another place with TMPDIR=FOLDER",
                ) from None
            n += len(piece)
        if not n:
            return np.empty((0, *row), dtype)
        file.flush()
        return np.asarray(np.memmap(file, dtype, "c", shape=(n, *row)))  # "c": torch warns of what must not be written


def gathered(x: NDArray[Any], indices: NDArray[np.int64], what: str) -> NDArray[Any]:
    """The rows of an array at these indices, in a file of their own; all of them in order without a copy."""
    if len(indices) == len(x) and bool((indices == np.arange(len(x))).all()):
        return x
    return array((x[indices[part]] for part in steps(x, len(indices))), x.shape[1:], x.dtype, what)


def steps(x: NDArray[Any], n: int | None = None) -> Iterator[slice]:
    """Slices of n rows (all when None), so many at once as may be held beside one another."""
    n = len(x) if n is None else n
    each = max(1, _STEP // max(1, x[:1].nbytes))
    return (slice(start, min(start + each, n)) for start in range(0, n, each))
