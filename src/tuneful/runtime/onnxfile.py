"""What an ONNX file would read from elsewhere, found without the onnx package and before any session opens it.

An ONNX tensor may say that its numbers lie in another file, by path. A sealed model holds all of its numbers itself, so such
a tensor is either damage or an attempt to have a file read. The walk knows the few protobuf fields that lead to tensors.

Source: onnx.proto3 of ONNX (field numbers); protobuf's encoding guide (wire types).
"""

from __future__ import annotations

from collections.abc import Iterator

from tuneful.core.errors import ArtifactError

_INTO: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14  # fields of a tensor; location 1 is EXTERNAL
_DEEP = 100  # protobuf's own limit on nesting


def external_tensors(model: bytes) -> list[str]:
    """The names of all tensors whose numbers lie outside of the file, in graphs, sub-graphs, attributes and functions.

    Raises: ArtifactError when the bytes are no protobuf message. Cost: grows with the number of tensors, not their size.
    """
    found: list[str] = []
    try:
        _walk(memoryview(model), "model", found, 0)
    except (IndexError, ValueError) as error:
        raise ArtifactError(f"model.onnx is not an ONNX file ({error})", "ship the model again") from None
    return found


def _walk(data: memoryview, kind: str, found: list[str], depth: int) -> None:
    if depth > _DEEP:
        raise ValueError("it is nested too deep")
    name, outside = "", False
    for field, value in fields(data):
        if kind == "tensor":
            if field == _NAME and isinstance(value, memoryview):
                name = bytes(value[:200]).decode("utf-8", "replace")
            outside |= field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value == 1)
        elif field in _INTO[kind] and isinstance(value, memoryview):
            _walk(value, _INTO[kind][field], found, depth + 1)
    if outside:
        found.append(name)


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, content) of every field of one message: a number for wire type 0, bytes for the others."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + size > len(data):
            raise ValueError(f"a field of {size} bytes where {len(data) - at} are left")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError(f"it ends inside a number at byte {at}")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


__all__ = ["external_tensors", "fields"]
