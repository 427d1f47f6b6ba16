"""The OpenAPI document of what is served, with examples made from each model's own schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tuneful.core.artifact import finite
from tuneful.runtime.serve import example, tensors
from tuneful.runtime.serve.served import Served

_NUMBERS = {"BOOL": "boolean", "BYTES": "string"}


def document(models: Sequence[Served], secured: bool) -> dict[str, Any]:
    """OpenAPI 3.1. models: of each name the one that serves."""
    paths: dict[str, Any] = {
        "/v2": {"get": _get("the server", {"type": "object", "required": ["name", "version", "extensions"]})},
        "/v2/health/live": {"get": _get("is the process alive?", {"type": "object"}, open_=True)},
        "/v2/health/ready": {
            "get": _get("are all models ready?", {"type": "object"}, open_=True, also={"503": "not yet, or about to stop"})
        },
        "/models": {"get": _get("the models, each with an example", {"type": "object", "required": ["models"]})},
        "/v2/repository/index": {"post": {**_get("which models there are", {"type": "array"}), "operationId": "index"}},
        "/metrics": {"get": _text("numbers for Prometheus")},
    }
    schemas: dict[str, Any] = {"Error": _ERROR}
    for one in models:
        name = one.name
        rows, tensor = f"{name}.Rows", f"{name}.Tensors"
        schemas[rows], schemas[tensor] = _rows(one), _tensors(one)
        base = f"/v2/models/{name}"
        paths[base] = {
            "get": _get(f"inputs and outputs of {name}", {"type": "object", "required": ["name", "inputs", "outputs"]})
        }
        paths[f"{base}/ready"] = {"get": _get(f"is {name} ready?", {"type": "object"})}
        paths[f"{base}/infer"] = {"post": _post(f"predictions of {name}, as tensors", tensor, _infer_example(one), {
            "type": "object", "required": ["model_name", "model_version", "outputs"]})}  # fmt: skip
        told = _post(f"predictions of {name}, in words", rows, example.request(one.model), {
            "type": "object", "required": ["model", "version", "id", "predictions"]})  # fmt: skip
        if str(one.model.schema["kind"]) in ("image", "audio"):
            told["requestBody"]["content"]["multipart/form-data"] = {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        if one.model.explains:
            told["parameters"] = [{"name": "explain", "in": "query", "schema": {"type": "boolean"},
                                   "description": "shall each prediction tell which places spoke for it?"}]  # fmt: skip
        paths[f"/predict/{name}"] = {"post": told}
    for path, methods in paths.items():
        for method, operation in methods.items():
            operation.setdefault("operationId", f"{method} {path}")
    told: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "tuneful", "version": "2", "description": "Models over HTTP: the Open Inference Protocol, and /predict for people."},
        "paths": paths,
        "components": {"schemas": schemas},
    }  # fmt: skip
    if secured:
        told["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        told["security"] = [{"token": []}]
    return finite(told)


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "hint": {"type": "string"}, "id": {"type": "string"}},
}
_WRONG = {
    "400": "the input does not fit", "401": "no token, or an unknown one", "404": "there is no such model", "405": "another method is wanted",
    "408": "the request did not arrive in time", "413": "above a limit", "415": "another form of body is wanted",
    "429": "too many requests wait", "431": "the headers are too long", "500": "the model failed", "503": "no answer in time",
}  # fmt: skip


def _responses(schema: dict[str, Any], said: str = "done") -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    told: dict[str, Any] = {"200": {"description": said, "content": {"application/json": {"schema": schema}}}}
    return told | {status: {"description": why, "content": error} for status, why in _WRONG.items()}


def _get(said: str, schema: dict[str, Any], open_: bool = False, also: dict[str, str] | None = None) -> dict[str, Any]:
    responses = _responses(schema)
    if also:
        responses |= {
            status: {"description": why, "content": {"application/json": {"schema": {"type": "object"}}}}
            for status, why in also.items()
        }
    return {"summary": said, "responses": responses, **({"security": []} if open_ else {})}


def _text(said: str) -> dict[str, Any]:
    told = _get(said, {})
    told["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return told


def _post(said: str, schema: str, shown: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": shown}}
    return {"summary": said, "requestBody": {"required": True, "content": content}, "responses": _responses(answer)}


def _rows(served: Served) -> dict[str, Any]:
    """The JSON Schema of a request to /predict."""
    schema, kind = served.model.schema, str(served.model.schema["kind"])
    if kind in ("table", "forecast"):
        columns = {one.name: {"type": ["number", "string", "null"] if one.datatype == "FP64" else ["string", "number", "boolean", "null"]}
                   for one in served.inputs}  # fmt: skip
        row: dict[str, Any] = {"type": "object", "required": list(columns), "properties": columns}
    elif kind in ("tokens", "pair"):
        row = {"type": "string", "maxLength": served.limits.text}
    else:
        row = {"type": "number"}
        for side in reversed(served.model.shape[1:] if kind == "audio" else served.model.shape):
            row = {"type": "array", "items": row, **({} if kind == "audio" else {"minItems": side, "maxItems": side})}
    least = int(schema["window"]) if kind == "forecast" else 1
    rows = {"type": "array", "items": row, "minItems": least, "maxItems": max(least, served.limits.rows)}
    return {"type": "object", "required": ["rows"], "properties": {"rows": rows}}


def _tensors(served: Served) -> dict[str, Any]:
    """The JSON Schema of a request to infer, of tensors in JSON."""
    tensor = {
        "type": "object", "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"enum": [one.name for one in served.inputs]}, "datatype": {"enum": [*tensors.DTYPES, "BYTES"]},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}}, "data": {"type": "array"},
        },
    }  # fmt: skip
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {"id": {"type": "string"}, "inputs": {"type": "array", "items": tensor, "minItems": 1}},
    }


def _infer_example(served: Served) -> dict[str, Any]:
    raw: Any = example.raw(served.model)
    kind = str(served.model.schema["kind"])
    if kind == "table":
        named: dict[str, Any] = {one.name: [row[one.name] for row in raw] for one in served.inputs}
    elif kind == "forecast":
        named = raw
    else:
        named = {served.inputs[0].name: raw[0] if kind == "audio" else raw}
    return {"inputs": [_tensor(one, named[one.name]) for one in served.inputs]}


def _tensor(one: tensors.Tensor, values: Any) -> dict[str, Any]:
    if one.datatype == "BYTES":
        data = [str(value) for value in values]
        return {"name": one.name, "shape": [len(data)], "datatype": "BYTES", "data": data}
    array = np.asarray(values)
    return {"name": one.name, "shape": list(array.shape), "datatype": one.datatype, "data": array.ravel().tolist()}


__all__ = ["document"]
