"""Raw vectors, series, sounds and images as the network takes them: the same code for training and serving."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.runtime.pixels import read_image
from tuneful.runtime.sounds import fitted, read_sound

Floats = NDArray[np.float32]


def vectors(schema: Mapping[str, Any], data: Any) -> Floats:
    (width,) = schema["shape"]
    array = _numeric(data)
    if array.ndim != 2 or array.shape[1] != width:
        raise DataError(
            f"the input has shape {list(array.shape)}; it must be [N, {width}]",
            f"give one row of {width} numbers for each example, also for a single one",
        )
    return _finite(array.astype(np.float32))


def series(schema: Mapping[str, Any], data: Any) -> Floats:
    channels, length = schema["shape"]
    array = _numeric(data)
    if array.ndim == 2 and channels == 1:
        array = array[:, None]
    if array.ndim != 3 or array.shape[1:] != (channels, length):
        raise DataError(
            f"the series have shape {list(array.shape)}; it must be [N, {channels}, {length}]",
            "cut or fill them up to the length of training first",
        )
    return _finite(array.astype(np.float32))


def sounds(schema: Mapping[str, Any], data: Any) -> Floats:
    rate, length = int(schema["rate"]), int(schema["shape"][1])
    if isinstance(data, str | bytes | Path):
        data = [data]
    if isinstance(data, list) and all(isinstance(item, str | bytes | Path) for item in cast("list[Any]", data)):
        paths = cast("list[str | bytes | Path]", data)
        found = [read_sound(path, rate, length) for path in paths]
        return np.stack(found).astype(np.float32) if found else np.empty((0, 1, length), np.float32)
    if not isinstance(data, tuple) or len(cast("tuple[Any, ...]", data)) != 2:
        raise DataError(
            "sounds are wanted: a list of files, or (samples, samples a second)", f"such as (samples [N, S], {rate})"
        )
    given, hertz = cast("tuple[Any, Any]", data)
    array = _numeric(given)
    if array.ndim != 2:
        raise DataError(f"the samples have shape {list(array.shape)}; it must be [N, S], one sound a row")
    if array.dtype == np.int16:
        array = array.astype(np.float32) / 32768
    if array.dtype.kind != "f":
        raise DataError(f"the samples are of type {array.dtype}; int16, or floats in [-1, 1], are wanted")
    array = _finite(array.astype(np.float32))
    if array.size and float(np.abs(array).max()) > 4:
        raise DataError(
            f"the loudest sample is {float(np.abs(array).max()):g}; floats must lie in [-1, 1]", "divide by 32768"
        )
    return np.stack([fitted(row, int(hertz), rate, length) for row in array]).astype(np.float32)


def images(schema: Mapping[str, Any], data: Any) -> Floats:
    channels, height, width = schema["shape"]
    if isinstance(data, str | Path):
        data = [data]
    if (
        isinstance(data, list | tuple)
        and data
        and all(isinstance(item, str | bytes | Path) for item in cast("list[Any]", data))
    ):
        paths = cast("list[str | bytes | Path]", data)
        return np.stack([read_image(path, channels, height, width) for path in paths]).astype(np.float32)
    array = to_channels_first(_numeric(data), channels)
    if array.ndim != 4 or array.shape[1:] != (channels, height, width):
        raise DataError(
            f"the images have shape {list(array.shape)}; it must be [N, {channels}, {height}, {width}] or "
            f"[N, {height}, {width}, {channels}]",
            "resize them first, or give the files, which are resized as they were in training",
        )
    if schema["dtype"] == "uint8" and array.dtype.kind == "f" and array.size and 0 < float(array.max()) <= 1:
        raise DataError(
            f"the largest pixel is {float(array.max()):g}; pixels must lie in 0..255 as they did in training",
            "multiply by 255, or give the integers",
        )
    return _finite(array.astype(np.float32))


def to_channels_first(array: NDArray[Any], channels: int) -> NDArray[Any]:
    """[N, H, W] or [N, H, W, C] as [N, C, H, W]; what is [N, C, H, W] already, or fits nothing, is returned as it is."""
    if array.ndim == 3 and channels == 1:
        return array[:, None]
    if array.ndim == 4 and array.shape[1] != channels and array.shape[3] == channels:
        return array.transpose(0, 3, 1, 2)
    return array


def _numeric(data: Any) -> NDArray[Any]:
    try:
        array = np.asarray(data)
    except ValueError:
        raise DataError("the examples differ in shape; all must have the shape of the first") from None
    if array.dtype.kind not in "iufb":
        raise DataError(
            f"the input is of type {array.dtype}; it must be numbers", "convert it with np.asarray(x, dtype=float)"
        )
    return array


def _finite(array: Floats) -> Floats:
    bad = ~np.isfinite(array)
    if bad.any():
        first = [int(i) for i in np.argwhere(bad)[0]]
        raise DataError(
            f"{int(bad.sum())} of {array.size} values are NaN or infinite (first: at {first}); all must be finite",
            "fill or remove them first",
        )
    return array
