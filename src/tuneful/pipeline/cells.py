"""The cells of a table's columns, a column at a time: numbers of text, in pieces, whatever holds the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tuneful.runtime.preprocess import numbers

if TYPE_CHECKING:
    import polars as pl

PIECE = 65_536  # cells that are looked at together as Python's own objects


class Frame(Protocol):
    """As much of a data frame as is looked at: one column at a time."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        ...

    @property
    def height(self) -> int:
        """How many rows there are."""
        ...

    def __getitem__(self, key: str, /) -> pl.Series:
        """A whole column."""
        ...


def floats(series: pl.Series, name: str, missing: Sequence[str], decimal: str = ".") -> NDArray[np.float64]:
    """A column as `runtime.preprocess.numbers` reads it, in pieces: text takes ten times its room as Python's own objects."""
    starts = range(0, max(1, len(series)), PIECE)
    return np.concatenate([numbers(values(series.slice(start, PIECE)), name, missing, decimal) for start in starts])


def values(series: pl.Series) -> Sequence[Any] | NDArray[Any]:
    """A column as `runtime.preprocess` takes it: numbers as float64 with NaN for nothing, else a list of text."""
    return series.cast(float).fill_null(float("nan")).to_numpy() if series.dtype.is_numeric() else series.to_list()
