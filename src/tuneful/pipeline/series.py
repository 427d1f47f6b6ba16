"""Arrays as time series: [N, C, T] float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError


def shaped(given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """[N, C, T] as it is, [N, T] as one channel. Raises DataError for other shapes, and for parts that do not fit together."""
    train = given["train"]
    if train.ndim not in (2, 3) or 0 in train.shape:
        raise DataError(
            f"x has shape {list(train.shape)}; a time series is [N, channels, moments], or [N, moments] of one channel",
            "leave form=series out, or reshape it",
        )
    out: dict[str, NDArray[np.float32]] = {}
    for split, x in given.items():
        if x.dtype.kind not in "biuf":
            raise DataError(f"x of {split} is of type {x.dtype}; it must be numbers")
        if x.shape[1:] != train.shape[1:]:
            raise DataError(f"x of {split} has examples of shape {list(x.shape[1:])}, and train of {list(train.shape[1:])}")
        with np.errstate(over="ignore"):  # what overflows becomes infinite and is told by the check of values
            out[split] = np.ascontiguousarray(x if x.ndim == 3 else x[:, None], dtype=np.float32)
    return out
