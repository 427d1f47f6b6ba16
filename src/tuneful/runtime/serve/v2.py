"""The Open Inference Protocol, version 2, over HTTP: what machines ask.

    GET  /v2, /v2/health/live, /v2/health/ready          the server
    GET  /v2/models/NAME[/versions/VERSION][/ready]      a model
    POST /v2/models/NAME[/versions/VERSION]/infer        predictions; tensors in JSON, or in bytes behind it
    POST /v2/repository/index                            which models there are

Source: Open Inference Protocol (github.com/open-inference/open-inference-protocol), and KServe's binary tensor data extension.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import orjson
from numpy.typing import NDArray

from tuneful.core.errors import TunefulError
from tuneful.runtime.serve import tensors
from tuneful.runtime.serve.refusal import Refusal, of_error
from tuneful.runtime.serve.served import Answer, Served, long_texts
from tuneful.runtime.serve.strict import parsed

LENGTH = b"inference-header-content-length"
EXTENSIONS = ["binary_tensor_data", "model_repository"]


class Asked:
    """A request for predictions, read: what goes into the model, and in what form the answer is wanted."""

    def __init__(self, served: Served, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Raises Refusal (400, 413)."""
        told, binary = _split(headers.get(LENGTH), body)
        self.id = told.get("id") if isinstance(told.get("id"), str) else None
        given, names = told.get("inputs"), served.gives
        if not isinstance(given, list) or not given:
            raise Refusal(400, "input", "inputs must be a list of tensors", "GET /docs shows an example")
        found: dict[str, NDArray[Any] | list[str]] = {}
        at = 0
        for one in cast("list[Any]", given):
            name, values, at = tensors.read(one, binary, at)
            if name in found:
                raise Refusal(400, "input", f"input {name[:80]!r} occurs twice")
            found[name] = values
        if at != len(binary):
            raise Refusal(400, "input", f"{len(binary) - at} bytes stand behind the last tensor")
        self.raw, rows = tensors.raw(served.model, served.names, found)
        if rows > served.limits.rows:
            raise Refusal(
                413,
                "rows",
                f"{rows} examples were sent, and {served.limits.rows} may be in one request",
                "send them in parts",
            )
        texts = [values for values in found.values() if isinstance(values, list)]
        self.size = sum(long_texts(cast("list[Any]", one), served.limits) for one in texts)
        self.size += sum(one.size for one in found.values() if not isinstance(one, list))
        parameters = told.get("parameters")
        all_binary = isinstance(parameters, dict) and cast("dict[str, Any]", parameters).get("binary_data_output") is True
        self.wanted: list[tuple[str, bool]] = []  # names of outputs, and whether as bytes
        outputs = told.get("outputs")
        if outputs is not None and not isinstance(outputs, list):
            raise Refusal(400, "input", "outputs must be a list")
        for one in cast("list[Any]", outputs or [{"name": name} for name in served.usual]):
            entry = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
            if entry.get("name") not in names:
                raise Refusal(
                    400,
                    "input",
                    f"this model has no output {str(entry.get('name'))[:80]!r}",
                    f"its outputs are {', '.join(names)}",
                )
            if isinstance(entry.get("parameters"), dict) and "classification" in entry["parameters"]:
                raise Refusal(400, "input", "the extension classification is not served", "ask for the output prediction")
            how = cast("dict[str, Any]", entry["parameters"]) if isinstance(entry.get("parameters"), dict) else {}
            self.wanted.append((entry["name"], bool(how.get("binary_data", all_binary))))


def _split(length: bytes | None, body: bytes) -> tuple[dict[str, Any], memoryview]:
    """(the JSON, the bytes behind it)."""
    view = memoryview(body)
    if length is None:
        told, rest = parsed(body), view[len(body) :]
    else:
        if not length.isdigit() or len(length) > 12 or not int(length) <= len(body):
            raise Refusal(400, "input", "Inference-Header-Content-Length must be a number, at most the length of the body")
        told, rest = parsed(view[: int(length)]), view[int(length) :]
    if not isinstance(told, dict):
        raise Refusal(400, "json", "the request must be a JSON object", "GET /docs shows an example")
    return cast("dict[str, Any]", told), rest


def answered(served: Served, asked: Asked, answer: Answer, request: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """(the body of an answer, its headers)."""
    described, behind = list[dict[str, Any]](), list[bytes]()
    datatypes = served.gives
    for name, binary in asked.wanted:
        values = served.output(name, answer)
        entry: dict[str, Any] = {"name": name, "datatype": datatypes[name], "shape": list(values.shape)}
        if binary:
            data = tensors.packed(datatypes[name], values)
            entry["parameters"] = {"binary_data_size": len(data)}
            behind.append(data)
        elif values.dtype == object:
            entry["data"] = values.tolist()
        else:
            entry["data"] = np.ascontiguousarray(values, dtype=tensors.DTYPES[datatypes[name]]).ravel()
        described.append(entry)
    head = orjson.dumps(
        {"model_name": served.name, "model_version": served.version, "id": asked.id or request, "outputs": described},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    if not behind:
        return head, [(b"content-type", b"application/json")]
    length = [(b"inference-header-content-length", str(len(head)).encode()), (b"content-type", b"application/octet-stream")]
    return b"".join([head, *behind]), length


def asked(served: Served, headers: Mapping[bytes, bytes], body: bytes) -> Asked:
    """`Asked`, and errors of the input as answers."""
    try:
        return Asked(served, headers, body)
    except TunefulError as error:
        raise of_error(error) from None


__all__ = ["EXTENSIONS", "Asked", "answered", "asked"]
