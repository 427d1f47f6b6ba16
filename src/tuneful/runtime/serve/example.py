"""An example of a model's input, made from its schema alone: for the documentation, the page and the warm-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from tuneful.runtime.load import Model

_TEXT = "an example"


def raw(model: Model) -> Any:
    """What `Model.predict` takes: one example, or the past of a forecast."""
    schema, kind = model.schema, str(model.schema["kind"])
    if kind == "table":
        return [{str(one["name"]): _cell(one) for one in schema["columns"]}]
    if kind == "forecast":
        return _past(schema)
    if kind in ("tokens", "pair"):
        return [_TEXT]
    if kind == "audio":
        return (np.zeros((1, int(model.shape[-1])), np.float32), int(schema["rate"]))
    return np.zeros((1, *model.shape), np.uint8 if schema.get("dtype") == "uint8" else np.float32)


def request(model: Model) -> dict[str, Any]:
    """The body of a request to /predict."""
    kind = str(model.schema["kind"])
    if kind == "table":
        return {"rows": raw(model)}
    if kind == "forecast":
        past = cast("dict[str, list[Any]]", raw(model))
        return {"rows": [dict(zip(past, values, strict=True)) for values in zip(*past.values(), strict=True)]}
    if kind in ("tokens", "pair"):
        return {"rows": raw(model)}
    if kind == "audio":
        return {"rows": [[0.0] * int(model.shape[-1])]}
    return {"rows": raw(model).tolist()}


def _cell(column: Mapping[str, Any]) -> Any:
    """A usual value of a column."""
    if column["type"] == "number":
        value = float(np.atleast_1d(np.asarray(column.get("fill", 0.0), dtype=float))[0])
        return int(value) if value.is_integer() else float(f"{value:.4g}")
    if column["type"] == "date":
        return "-".join({"y": "2024", "m": "03", "d": "15"}[letter] for letter in column["order"])
    levels = cast("list[str]", column["levels"])
    return levels[0] if levels else ""


def _past(schema: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The shortest past that a forecast takes, all values alike."""
    from tuneful.runtime import moments

    rows = int(schema["window"])
    columns: dict[str, list[Any]] = {}
    if schema["time"]:
        times = moments.at(np.arange(rows), schema["step"], np.datetime64("2024-01-01", "s"))
        columns[str(schema["time"])] = [_ordered(text, str(schema["order"])) for text in moments.shown(times)]
    return columns | {str(name): [0.0] * rows for name in schema["columns"]}


def _ordered(text: str, order: str) -> str:
    """A moment in ISO form, as the data writes it.

    >>> _ordered("2024-03-15 12:00:00", "dmy"), _ordered("2024-03-15", "ym")
    ('15-03-2024 12:00:00', '2024-03')
    """
    day, gap, clock = text.replace("T", " ").partition(" ")
    parts = dict(zip("ymd", day.split("-"), strict=False))
    return "-".join(parts[letter] for letter in order) + (gap + clock if order != "ym" else "")


__all__ = ["raw", "request"]
