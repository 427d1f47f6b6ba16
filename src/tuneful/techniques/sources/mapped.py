"""numpy's arrays in files, mapped into memory where they would not fit: .npy as they lie, members of .npz likewise.

A packed member of an .npz archive cannot be mapped: it is unpacked, once, into a file without a name.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
import tokenize
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.techniques.sources.raw import gigabytes
from tuneful.techniques.sources.stored import place, room

_LOCAL = 30  # bytes of a member's own header, before its name and what else it says


def array(path: Path) -> NDArray[Any]:
    """An .npy file, mapped. Raises ValueError, OSError or EOFError where it is damaged, DataError for Python objects."""
    with path.open("rb") as file:
        return _mapped(file, 0, path.stat().st_size, str(path))


def members(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz archive, mapped."""
    found: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as whole:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if info.compress_type == zipfile.ZIP_STORED:
                whole.seek(info.header_offset)
                named, more = struct.unpack("<26xHH", whole.read(_LOCAL))
                start = info.header_offset + _LOCAL + named + more
                found[name] = _mapped(whole, start, start + info.file_size, f"{path}: {name}")
                continue
            room(info.file_size, f"{path}, unpacked ({gigabytes(info.file_size)}),")
            with archive.open(info) as packed, tempfile.TemporaryFile(dir=place()) as file:
                shutil.copyfileobj(packed, file, 1 << 20)
                file.flush()
                found[name] = _mapped(cast("IO[bytes]", file), 0, info.file_size, f"{path}: {name}")
    return found


def header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of an array in numpy's format; the file stands at its numbers then.

    Raises ValueError for any damage. numpy's own reader lets the errors of Python's tokenizer and parser through, and warns
    where a broken header can be mended to something that it understands.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            return read(file)
    except (ValueError, SyntaxError, tokenize.TokenError, TypeError, RecursionError, MemoryError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"its header cannot be understood: {first[:80]}") from None


def _mapped(file: IO[bytes], start: int, end: int, where: str) -> NDArray[Any]:
    """The array that begins at a place of a file. The map outlives the file's handle."""
    file.seek(start)
    shape, columns, dtype = header(file)
    if dtype.hasobject:
        raise DataError(
            f"{where} holds Python objects; only numbers and text are read, because objects can run code",
            "convert it with numpy.array(..., dtype=float) or dtype=str, and save it again",
        )
    at, size = file.tell(), int(np.prod(shape, dtype=object)) * dtype.itemsize
    if end - at != size:
        raise DataError(
            f"{where} says that it has shape {list(shape)} ({size} bytes), and {end - at} bytes are there",
            "write the file again with numpy.save",
        )
    if not size:
        return np.empty(shape, dtype)
    return np.memmap(file, dtype, "r", at, shape, "F" if columns else "C")
