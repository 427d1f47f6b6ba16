"""inputs.json: what a model asks for, as JSON Schema (draft 2020-12) of one row of `POST /predict`, with what train held of it.

Columns of a table carry `x-seen`, from reference.json: smallest, largest and share missing of a number; of a category its levels.
Values outside are answered all the same, the schema does not forbid them: a number beyond train's range is a fact, no mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DATES = {"y": "YYYY", "m": "MM", "d": "DD"}


def described(schema: Mapping[str, Any], shape: Sequence[int], reference: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The schema of one row. schema, shape: as preprocessing.json holds them; reference: what reference.json holds."""
    kind = str(schema["kind"])
    features: dict[str, Any] = {}
    if reference is not None:
        features = {str(one["name"]): one for one in reference["inputs"]["features"]}
    head: dict[str, Any] = {"$schema": DRAFT, "title": f"one row of /predict: {kind}"}
    if kind == "table":
        columns = cast("list[dict[str, Any]]", schema["columns"])
        rows = {str(one["name"]): _column(one, features) for one in columns}
        return {**head, "type": "object", "required": list(rows), "properties": rows}
    if kind == "forecast":
        names = [*([str(schema["time"])] if schema["time"] else []), *(str(name) for name in schema["columns"])]
        rows = {name: {"type": ["number", "string", "null"], **_seen(features.get(f"{name}.last"))} for name in names}
        told = {"type": "object", "required": names, "properties": rows, "x-rows": {"least": int(schema["window"])}}
        return {
            **head,
            **told,
            "description": f"the past, a row a moment, at least {schema['window']} of them, to the newest",
        }
    if kind in ("tokens", "pair"):
        return {**head, "type": "string", "description": "a text", "x-seen": _facts(features)}
    row: dict[str, Any] = {"type": "number"}
    for side in reversed(shape[1:] if kind == "audio" else shape):
        row = {"type": "array", "items": row, **({} if kind == "audio" else {"minItems": side, "maxItems": side})}
    said = {"image": "pixels [channels, height, width]", "audio": f"samples in [-1, 1], {schema.get('rate')} a second"}
    return {**head, **row, "description": said.get(kind, f"numbers of shape {list(shape)}"), "x-seen": _facts(features)}


def _column(column: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, Any]:
    name = str(column["name"])
    if column["type"] == "number":
        ends = ("low", "high") if "low" in column else ()
        clipped = {"x-clipped": [column[end] for end in ends]} if ends else {}
        seen = _seen(features.get(name))
        if "knots" in column and "x-seen" in seen:  # beyond which ranks tell nothing apart, so the features end there
            seen["x-seen"] |= {"minimum": column["knots"][0], "maximum": column["knots"][-1]}
        return {
            "type": ["number", "string", "null"],
            "description": "a number; text that reads as one; null where it misses",
            **clipped,
            **seen,
        }
    if column["type"] == "date":
        form = "-".join(_DATES[letter] for letter in str(column["order"]))
        parts = {part: _seen(features.get(f"{name}.{part}")).get("x-seen", {}) for part in column["parts"]}
        return {
            "type": ["string", "null"],
            "description": f"a date, {form}",
            "x-seen": {key: one for key, one in parts.items() if one},
        }
    seen = _seen(features.get(name))
    known = {"x-levels": [str(level) for level in column["levels"]]}
    return {
        "type": ["string", "number", "boolean", "null"],
        "description": "a category; levels that train had are in x-levels",
        **known,
        **seen,
    }


def _seen(feature: Mapping[str, Any] | None) -> dict[str, Any]:
    if feature is None:
        return {}
    share = feature["missing"] / max(1, feature["n"] + feature["missing"])
    told: dict[str, Any] = {"missing": float(f"{share:.4g}")}
    if feature["type"] == "number" and feature["quantiles"]:
        told |= {"minimum": feature["quantiles"][0], "maximum": feature["quantiles"][-1]}
    return {"x-seen": told}


def _facts(features: Mapping[str, Any]) -> dict[str, Any]:
    """Smallest and largest of each plain fact, such as the brightness of images."""
    told = {name: _seen(one).get("x-seen", {}) for name, one in list(features.items())[:64]}
    return {name: {"minimum": one["minimum"], "maximum": one["maximum"]} for name, one in told.items() if "minimum" in one}


__all__ = ["DRAFT", "described"]
