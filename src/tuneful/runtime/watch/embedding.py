"""What a network makes of an example before its last layer decides: the numbers that MMD compares where pixels and words say little.

The tensor that goes into the last matrix product of the graph becomes an output besides; the file is changed in memory, one field of
protobuf, without the onnx package. Many numbers are brought down to WIDE by a fixed random projection, which keeps distances.

Sources: onnx.proto3 (field numbers); Johnson & Lindenstrauss 1984 (random projections); Rabanser, Gunnemann & Lipton, NeurIPS 2019,
arXiv:1810.11953 (two-sample tests on representations find shift of images).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.runtime.load import Model, fed, open_session
from tuneful.runtime.onnxfile import fields
from tuneful.runtime.watch.samples import Floats

WIDE = 64
ROWS = 400  # examples that are looked at, evenly spaced
PRODUCTS = ("Gemm", "MatMul", "Einsum")
_GRAPH, _NODE, _TENSOR, _INPUT, _OUTPUT = 7, 1, 5, 11, 12  # fields of a model and of its graph
_AT_ONCE = 64


def embedded(model: Model, encoded: NDArray[Any]) -> Floats | None:
    """[at most ROWS, D] of examples as the network takes them, evenly chosen; None where the network has no such layer."""
    found = opened(model.artifact.read("model.onnx"))
    if found is None or not len(encoded):
        return None
    changed, name = found
    try:
        session = open_session(changed)
        rows = np.unique(np.linspace(0, len(encoded) - 1, min(ROWS, len(encoded))).astype(int))
        parts = [
            np.asarray(session.run([name], {"x": fed(encoded[rows[at : at + _AT_ONCE]])})[0])
            for at in range(0, len(rows), _AT_ONCE)
        ]
    except Exception:  # onnxruntime's errors share no other base; what it would not have so is not compared
        return None
    if sum(len(part) for part in parts) != len(rows):  # no row an example: a layer that folds its batch
        return None
    flat = np.concatenate([part.reshape(len(part), -1) for part in parts]).astype(np.float64)
    if flat.shape[1] <= WIDE:
        return flat
    return flat @ (np.random.default_rng(0).normal(size=(flat.shape[1], WIDE)) / np.sqrt(WIDE))


def opened(model: bytes) -> tuple[bytes, str] | None:
    """(the model with one more output, the name of that output); None where nothing but raw input goes into the last product."""
    try:
        parts = list(fields(memoryview(model)))
        graph = next(value for field, value in parts if field == _GRAPH and isinstance(value, memoryview))
        name = _before_last(graph)
    except (IndexError, ValueError, StopIteration):
        return None
    if name is None:
        return None
    more = bytes(graph) + _field(_OUTPUT, _field(1, name.encode()))
    out = b"".join(_field(field, more if field == _GRAPH else value) for field, value in parts)
    return out, name


def _before_last(graph: memoryview) -> str | None:
    """The name of what goes into the last product and is no weight."""
    weights, given = set[str](), set[str]()
    products: list[list[str]] = []
    for field, value in fields(graph):
        if not isinstance(value, memoryview):
            continue
        if field == _TENSOR:
            weights |= set(_texts(value, 8))
        elif field == _INPUT:
            given |= set(_texts(value, 1))
        elif field == _NODE and next(_texts(value, 4), "") in PRODUCTS:
            products.append(list(_texts(value, 1)))
    inner = [name for name in (products[-1] if products else []) if name not in weights]
    return inner[0] if inner and inner[0] not in given else None


def _texts(message: memoryview, wanted: int) -> Iterator[str]:
    return (
        bytes(value).decode("utf-8", "replace")
        for field, value in fields(message)
        if field == wanted and isinstance(value, memoryview)
    )


def _field(number: int, value: int | bytes | memoryview) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + bytes(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


__all__ = ["embedded", "opened"]
