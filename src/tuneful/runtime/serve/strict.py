"""JSON from strangers: parsed by orjson, and refused where two readers could understand it in two ways.

NaN, Infinity, numbers beyond float64 (1e999, 5,000 digits), half surrogates, depths above 1024 and everything else outside of RFC 8259
are refused by orjson itself. Names that occur twice in one object are refused here: orjson keeps the last, other readers the
first. Each member of an object has one colon; so when the text has no more colons than the parsed objects have names, none
was lost. Only where that quick count does not come out (a colon in a text, objects in long lists) is the text read again slowly.
"""

from __future__ import annotations

import json
from typing import Any, cast

from tuneful.runtime.serve.refusal import Refusal

_EXAMINED = 64  # elements of a list that are looked at by the quick count


def parsed(data: bytes | memoryview) -> Any:
    """Raises Refusal (400)."""
    import orjson

    if not data:
        raise Refusal(400, "json", "the body is empty; JSON is wanted", "GET /docs shows an example")
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        why = str(error).partition(": line")[0]
        raise Refusal(400, "json", f"the body is not JSON: {why} (byte {error.pos})", "GET /docs shows an example") from None
    text = bytes(data)
    if text.count(b":") != _names(told):
        _twice(text)
    return told


def _names(told: Any) -> int:
    """How many names the objects have together. Only the beginning of a list is looked at, and none whose first element is plain, so it
    may be too few."""
    count, left = 0, [told]
    while left:
        one = left.pop()
        if type(one) is dict:
            members = cast("dict[str, Any]", one)
            count += len(members)
            left += [value for value in members.values() if type(value) is dict or type(value) is list]
        elif type(one) is list:
            items = cast("list[Any]", one)
            if items and (type(items[0]) is dict or type(items[0]) is list):
                left += items[:_EXAMINED]
    return count


def _twice(text: bytes) -> None:
    def members(pairs: list[tuple[str, Any]]) -> None:
        names = {name for name, _ in pairs}
        if len(names) < len(pairs):
            seen: set[str] = set()
            name = next(name for name, _ in pairs if name in seen or seen.add(name))
            raise Refusal(400, "json", f"the name {name[:80]!r} occurs twice in one object", "send each name once")

    # orjson has refused what is deep, and numbers are left as text: neither can cost us anything here
    json.loads(text, object_pairs_hook=members, parse_int=_ignored, parse_float=_ignored)


def _ignored(_: str) -> int:
    return 0


__all__ = ["parsed"]
