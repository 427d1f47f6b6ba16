"""What a safetensors file says of itself, checked before anybody takes memory by it. Only the standard library.

    8 bytes    n, little-endian: the length of the header
    n bytes    {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ..., "__metadata__": {text: text}}
    the rest   the numbers; the tensors cover it without gaps, and no two of them overlap

A header may claim 2^63 bytes, a tensor of a million sides, or numbers that lie on top of one another; reading libraries differ
in what they notice. Here all of it is compared with the file's own length first.

Source: https://huggingface.co/docs/safetensors (format); Trail of Bits, Safetensors security assessment, 2023.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from tuneful.core.errors import ArtifactError

HEADER = 100 << 20  # bytes a header may have, as the library has it
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32,
    "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64,
}  # fmt: skip
_AGAIN = "ship the model again"


def header(file: BinaryIO, size: int, name: str = "weights.safetensors") -> dict[str, tuple[str, tuple[int, ...]]]:
    """{tensor: (dtype, shape)} of a file of `size` bytes. Raises ArtifactError that says what cannot be."""
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(HEADER, size - 8):
        raise ArtifactError(f"{name} promises a header of {length} bytes where {max(0, size - 8)} are left", _AGAIN)
    try:
        told: Any = json.loads(file.read(length), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"the header of {name} is not JSON ({str(error)[:100]})", _AGAIN) from None
    if not isinstance(told, dict):
        raise ArtifactError(f"the header of {name} is no object", _AGAIN)
    spans: list[tuple[int, int, str]] = []
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for key, entry in cast("dict[str, Any]", told).items():
        if key == "__metadata__":
            continue
        kind, shape, begin, end = _entry(entry, f"the tensor {key[:60]!r} of {name}")
        if not begin <= end <= size - 8 - length:
            raise ArtifactError(
                f"the tensor {key[:60]!r} of {name} lies at {begin} to {end}; {size - 8 - length} bytes are there", _AGAIN
            )
        if 8 * (end - begin) != math.prod(shape) * _BITS[kind]:
            raise ArtifactError(
                f"the tensor {key[:60]!r} of {name} has {end - begin} bytes for {kind} of shape {list(shape)}", _AGAIN
            )
        spans.append((begin, end, key))
        found[key] = (kind, shape)
    _cover(spans, size - 8 - length, name)
    return found


def _entry(entry: Any, name: str) -> tuple[str, tuple[int, ...], int, int]:
    told = cast("Mapping[str, Any]", entry if isinstance(entry, dict) else {})
    kind, shape, at = told.get("dtype"), told.get("shape"), told.get("data_offsets")
    if not isinstance(kind, str) or kind not in _BITS:
        raise ArtifactError(f"{name} has the type {str(kind)[:40]!r}, which is none", _AGAIN)
    if not isinstance(shape, list) or len(cast("list[Any]", shape)) > 64 or not all(map(_count, cast("list[Any]", shape))):
        raise ArtifactError(f"{name} has a shape that cannot be: {str(shape)[:60]}", _AGAIN)  # pyright: ignore[reportUnknownArgumentType]
    if not isinstance(at, list) or len(cast("list[Any]", at)) != 2 or not all(map(_count, cast("list[Any]", at))):
        raise ArtifactError(f"{name} has no two data_offsets", _AGAIN)
    begin, end = cast("list[int]", at)
    return kind, tuple(cast("list[int]", shape)), begin, end


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _cover(spans: list[tuple[int, int, str]], size: int, name: str) -> None:
    """Do the tensors lie one behind the other, from the first byte to the last?"""
    at = 0
    for begin, end, key in sorted(spans):
        if begin != at:
            what = "overlaps another" if begin < at else "leaves a gap before it"
            raise ArtifactError(f"the tensor {key[:60]!r} of {name} {what}", _AGAIN)
        at = end
    if at != size:
        raise ArtifactError(f"{name} has {size - at} bytes that belong to no tensor", _AGAIN)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


_PICKLE = re.compile(rb"\x80[\x02-\x05]")  # how protocol 2 and later begin; older ones are text without a mark
_PACKED = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


def pickled(data: bytes) -> str:
    """Why a file may not be read by anybody who unpickles: "" for one that holds no pickle.

    Looked at are the beginning of the file and, of a zip (also an .npz, a .pt or a .pt2), each member's name and beginning; what
    is unpacked for that is bounded.
    """
    if _PICKLE.match(data):
        return "it is a pickle"
    if data[:6] == b"\x93NUMPY":
        return "it is an array of objects, which are pickles" if re.search(rb"'descr': '\|O", data[:4096]) else ""
    if not data.startswith(_PACKED):
        return ""
    import io
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                with archive.open(member) as inside:
                    begin = inside.read(4096)
                why = "it is a zip within a zip" if begin.startswith(_PACKED) else pickled(begin)
                if why or member.filename.endswith((".pkl", ".pickle")):
                    return f"its member {member.filename[:80]} may not stand there: {why or 'it is a pickle'}"
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        return f"it is a damaged zip ({str(error)[:80]})"
    return ""


__all__ = ["header", "pickled"]
