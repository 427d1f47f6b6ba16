"""Tensors of the Open Inference Protocol v2: names and types of what a model takes and gives, read from JSON or from bytes.

    table      one input a column, [-1]: FP64 where it was numeric in training, else BYTES; any numeric type and BYTES is taken
    forecast   likewise; the rows are moments of the past
    image      x [-1, C, H, W], UINT8 or what training had; vector and series  x FP32 [-1, ...]; audio  x FP32 [-1, S]
    texts      text BYTES [-1]

Bytes are little-endian and row-major; of BYTES each element is its length (uint32), then UTF-8. They follow the JSON, whose
length the header Inference-Header-Content-Length tells.

Source: Open Inference Protocol, "Required API" and "Tensor Data"; KServe's predict protocol, version 2, "Binary Tensor Data
Extension".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.runtime import answers
from tuneful.runtime.explain import MAP
from tuneful.runtime.load import Model
from tuneful.runtime.serve.refusal import Refusal

DTYPES: dict[str, str] = {
    "BOOL": "?", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "<i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_ITEMS = 50_000_000  # numbers in one tensor


class Tensor(NamedTuple):
    """-1 in a shape stands for any number of examples."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def as_data(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


def inputs(model: Model) -> list[Tensor]:
    """What a model takes."""
    schema, kind = model.schema, str(model.schema["kind"])
    if kind == "table":
        types = {"number": "FP64"}
        return [Tensor(str(one["name"]), types.get(one["type"], "BYTES"), (-1,)) for one in schema["columns"]]
    if kind == "forecast":
        time = [Tensor(str(schema["time"]), "BYTES", (-1,))] if schema["time"] else []
        return [*time, *(Tensor(str(name), "FP64", (-1,)) for name in schema["columns"])]
    if kind in ("tokens", "pair"):
        return [Tensor("text", "BYTES", (-1,))]
    if kind == "audio":
        return [Tensor("x", "FP32", (-1, -1))]
    return [Tensor("x", "UINT8" if schema.get("dtype") == "uint8" else "FP32", (-1, *model.shape))]


def outputs(model: Model) -> list[Tensor]:
    """What a model gives; the first is what its network says."""
    count, kind = len(model.labels), model.kind
    if kind in answers.TEXTS:
        return [Tensor("prediction", "BYTES", (-1,))]
    if kind == "forecasting":
        return [Tensor("value", "FP64", (-1, len(model.schema["targets"])))]
    if kind in answers.VALUES:
        return [Tensor("value", "FP32", (-1, len(model.targets)) if model.targets else (-1,))]
    if kind in answers.PIXELS:
        height, width = (int(side) for side in model.target["pixels"])
        return [Tensor("probabilities", "FP32", (-1, height, width, count)),
                Tensor("prediction", "UINT8" if count <= 256 else "UINT16", (-1, height, width))]  # fmt: skip
    if kind in answers.PLACES:
        probabilities = Tensor("probabilities", "FP32", (-1, *answers.width(kind, model.labels, model.target)))
        return [probabilities, Tensor("prediction", "BYTES", (-1,))]
    said = Tensor("prediction", "BOOL", (-1, count)) if kind == "multilabel" else Tensor("prediction", "BYTES", (-1,))
    margin = [Tensor("margin", "FP64", (-1,))] if kind == answers.OPEN else []
    return [Tensor("probabilities", "FP32", (-1, count)), said, *margin]


def maps(model: Model) -> list[Tensor]:
    """What a model gives only when it is asked for: the maps that explain its answers, where it has them."""
    return (
        [Tensor(MAP, "FP32", (-1, len(model.labels) or max(1, len(model.targets)), *model.sides))] if model.explains else []
    )


def read(given: Any, body: bytes | memoryview, at: int) -> tuple[str, NDArray[Any] | list[str], int]:
    """One tensor of a request: (name, its values, where the next one's bytes begin). BYTES are a list of texts.

    Raises: Refusal (400) that names the tensor and what is wrong with it.
    """
    if not isinstance(given, dict):
        raise Refusal(400, "input", f"an input is {_kind(given)}; it must be an object with name, shape, datatype and data")
    told = cast("dict[str, Any]", given)
    name, datatype, shape = told.get("name"), told.get("datatype"), told.get("shape")
    if not isinstance(name, str):
        raise Refusal(400, "input", f"the name of an input is {_kind(name)}; it must be a text")
    if not isinstance(datatype, str) or datatype not in (*DTYPES, "BYTES"):
        raise Refusal(400, "input", f"input {name[:80]!r}: datatype is {str(datatype)[:40]!r}; it must be one of "
                                    f"{', '.join(DTYPES)}, BYTES")  # fmt: skip
    if not isinstance(shape, list) or not 1 <= len(cast("list[Any]", shape)) <= 8 or not all(
        type(side) is int and 0 <= side <= _ITEMS for side in cast("list[Any]", shape)
    ):  # fmt: skip
        raise Refusal(400, "input", f"input {name[:80]!r}: shape must be a list of 1 to 8 whole numbers from 0")
    sides = cast("list[int]", shape)
    count = math.prod(sides)
    if count > _ITEMS:
        raise Refusal(400, "input", f"input {name[:80]!r}: shape {sides} has more than {_ITEMS} elements")
    parameters = told.get("parameters")
    size = cast("dict[str, Any]", parameters).get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        return name, _listed(name, datatype, sides, count, told.get("data")), at
    if type(size) is not int or not 0 <= size <= len(body) - at:
        raise Refusal(
            400, "input", f"input {name[:80]!r}: binary_data_size is {str(size)[:40]}, and {len(body) - at} bytes are left"
        )
    piece = memoryview(body)[at : at + size]
    if datatype == "BYTES":
        return name, _texts(name, piece, count), at + size
    wanted = count * np.dtype(DTYPES[datatype]).itemsize
    if size != wanted:
        raise Refusal(400, "input", f"input {name[:80]!r}: {size} bytes were sent; {datatype} of shape {sides} has {wanted}")
    return name, np.frombuffer(piece, DTYPES[datatype]).reshape(sides), at + size


def _listed(name: str, datatype: str, shape: list[int], count: int, data: Any) -> NDArray[Any] | list[str]:
    """Values that stand in the JSON, flat or nested."""
    if not isinstance(data, list):
        raise Refusal(
            400, "input", f"input {name[:80]!r}: data is {_kind(data)}; it must be a list (or binary_data_size be given)"
        )
    if datatype == "BYTES":
        flat = _flat(cast("list[Any]", data))
        if len(flat) != count or not all(isinstance(one, str) for one in flat):
            raise Refusal(
                400, "input", f"input {name[:80]!r}: {count} texts are wanted by its shape, and {len(flat)} values were sent"
            )
        return cast("list[str]", flat)
    try:
        array: NDArray[Any] = np.asarray(cast("list[Any]", data))
    except ValueError:
        raise Refusal(400, "input", f"input {name[:80]!r}: the lists in data differ in length") from None
    if array.dtype.kind not in "iufb" and array.size:
        raise Refusal(400, "input", f"input {name[:80]!r}: data must be numbers of type {datatype}")
    if array.size != count:
        raise Refusal(400, "input", f"input {name[:80]!r}: {array.size} numbers were sent; shape {shape} has {count}")
    dtype: np.dtype[Any] = np.dtype(DTYPES[datatype])
    if dtype.kind in "iu" and array.size:
        edges = np.iinfo(dtype)
        if not (edges.min <= array.min() and array.max() <= edges.max and (array % 1 == 0).all()):
            raise Refusal(400, "input", f"input {name[:80]!r}: data does not fit into {datatype}")
    with np.errstate(over="ignore"):
        return array.astype(dtype).reshape(shape)


def _flat(data: list[Any]) -> list[Any]:
    return [item for one in data for item in (_flat(cast("list[Any]", one)) if isinstance(one, list) else [one])]


def _texts(name: str, piece: memoryview, count: int) -> list[str]:
    found, at = list[str](), 0
    while at < len(piece) and len(found) < count:
        if at + 4 > len(piece):
            break
        (size,) = struct.unpack_from("<I", piece, at)
        at += 4
        if at + size > len(piece):
            raise Refusal(400, "input", f"input {name[:80]!r}: an element of {size} bytes where {len(piece) - at} are left")
        try:
            found.append(bytes(piece[at : at + size]).decode())
        except UnicodeDecodeError:
            raise Refusal(400, "input", f"input {name[:80]!r}: element {len(found) + 1} is not UTF-8") from None
        at += size
    if len(found) != count or at != len(piece):
        raise Refusal(400, "input", f"input {name[:80]!r}: its bytes hold {len(found)} elements; its shape has {count}")
    return found


def packed(datatype: str, values: NDArray[Any]) -> bytes:
    """An output as bytes."""
    if datatype == "BYTES":
        texts = [str(value).encode("utf-8", "replace") for value in values]
        return b"".join(part for text in texts for part in (struct.pack("<I", len(text)), text))
    return np.ascontiguousarray(values, dtype=DTYPES[datatype]).tobytes()


def raw(model: Model, names: Sequence[str], given: Mapping[str, NDArray[Any] | list[str]]) -> tuple[Any, int]:
    """(what `Model.encoded` takes, how many examples) of the tensors of a request. names: of `inputs`. Raises Refusal (400)."""
    if odd := [name for name in given if name not in names]:
        raise Refusal(400, "input", f"this model has no input {odd[0][:80]!r}", f"its inputs are {', '.join(names[:20])}")
    if absent := [name for name in names if name not in given]:
        raise Refusal(400, "input", f"input {absent[0]!r} is missing", f"the inputs are {', '.join(names[:20])}")
    kind = str(model.schema["kind"])
    if kind in ("table", "forecast"):
        columns = {name: _column(name, values) for name, values in given.items()}
        return columns, 1 if kind == "forecast" else len(next(iter(columns.values()), ()))
    values = given[names[0]]
    if kind in ("tokens", "pair"):
        if not isinstance(values, list):
            raise Refusal(400, "input", "input 'text' is numbers; it must be BYTES")
        return values, len(values)
    if isinstance(values, list):
        raise Refusal(400, "input", "input 'x' is BYTES; it must be numbers")
    if kind == "audio":
        return (values.astype(np.float32) if values.dtype != np.int16 else values, int(model.schema["rate"])), len(values)
    return values, len(values)


def _column(name: str, values: NDArray[Any] | list[str]) -> NDArray[Any] | list[str]:
    if isinstance(values, list):
        return values
    if np.isinf(values).any():
        raise Refusal(400, "input", f"input {name!r} holds a number that is infinite", "NaN says that a value is missing")
    if values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1):
        return values.reshape(-1)
    raise Refusal(400, "input", f"input {name!r} has shape {list(values.shape)}; it must be [N]")


def _kind(value: Any) -> str:
    known: dict[type[Any], str] = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        type(None): "missing",
    }
    return known.get(cast("type[Any]", type(value)), "a number")


def column_texts(values: Sequence[Any] | NDArray[Any]) -> list[str]:
    """Answers as the texts that BYTES hold: the tags of a sentence joined by spaces."""
    return [" ".join(map(str, cast("list[Any]", one))) if isinstance(one, list) else str(one) for one in values]


__all__ = ["DTYPES", "Tensor", "column_texts", "inputs", "maps", "outputs", "packed", "raw", "read"]
