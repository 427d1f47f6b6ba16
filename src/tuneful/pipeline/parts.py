"""What the readers of all kinds of data share: what was asked of them, what they build, and how examples are divided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.task import Finding, Origin
from tuneful.pipeline import order, split, targets
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.ledger import Ledger

Parts = dict[str, NDArray[Any]]
Scale = Literal["auto", "deviation", "ranks"]


@dataclass(frozen=True)
class Options:
    """The options of `prepare`."""

    target: str | tuple[str, ...] | None
    kind: str | None
    missing: tuple[str, ...]
    keep: tuple[str, ...]
    leave_out: tuple[str, ...]
    size: int | tuple[int, int] | None
    valid: float | Literal["auto"]
    test: float | Literal["auto"]
    seed: int
    limit: int | None
    form: Literal["", "series", "image"] = ""
    tokens: str = "auto"
    length: int | None = None
    vocabulary: int | None = None
    scale: Scale = "auto"
    order: str | None = None
    levels: tuple[str, ...] = ()
    beam: int = 1
    masks: str = "auto"
    standardize: bool | Literal["auto"] = "auto"
    ledger: Ledger = field(default_factory=Ledger)
    outside: tuple[str, ...] = ()
    unordered: bool = False  # may texts be sets of n-grams? No model that reads their order is asked for


@dataclass
class Built:
    """The splits as they will be learned from."""

    x: Parts
    target: targets.Target
    y: Parts
    schema: dict[str, Any]
    column: str
    what: str  # an example's name in findings: image, row
    twins: Parts
    normalize: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)  # what else is to be known of the target
    origin: Origin | None = None  # where the examples of train stand in the data


def words(given: Sequence[str]) -> tuple[str, ...]:
    """One word, or several, as several."""
    return (given,) if isinstance(given, str) else tuple(str(word) for word in given)


def divide(
    y: Mapping[str, NDArray[Any]], twins: Parts, options: Options, findings: list[Finding], when: Parts | None = None
) -> dict[str, tuple[str, Any]]:
    """{split: (given part, indices)}, thinned to the limit. when: the moment of each example, where the order is a column's."""
    if options.order is not None:
        first = len(y["train"])  # parts that are given apart follow one another
        stand = {part: np.arange(len(found)) + first * (part != "train") for part, found in y.items()}
        chosen, told = order.cut(when or stand, options.valid, options.test, options.order)
    else:
        chosen, told = split.cut(y, cast("Any", twins), options.valid, options.test, options.seed)
    findings += told
    if options.limit is None:
        return cast("dict[str, tuple[str, Any]]", chosen)
    out: dict[str, tuple[str, Any]] = {}
    for name, (part, indices) in chosen.items():
        kept = indices[split.thin(y[part][indices], options.limit, options.seed)]
        if len(kept) < len(indices):
            findings.append(Finding("note", f"{name} was thinned to limit={options.limit}", len(kept), len(indices)))
        out[name] = (part, kept)
    return out


def take(x: NDArray[Any], indices: NDArray[np.int64]) -> NDArray[Any]:
    """The rows at these indices; all of them without a copy, and what is unread stays so."""
    if isinstance(x, Lazy):
        return cast("Any", x.take(indices))
    return x if len(indices) == len(x) else x[indices]


def fingerprint(x: Parts, y: Parts, schema: Mapping[str, Any], labels: Sequence[str], beside: Parts) -> str:
    """sha256 over the bytes, types and shapes of all splits and of what stands beside them, the schema and the labels."""
    found = hashlib.sha256(json.dumps([schema, list(labels)], sort_keys=True).encode())
    for part in ("train", "valid", "test"):
        for array in (x[part], y[part], *([beside[part]] if part in beside else [])):
            found.update(f"{part} {array.dtype.str} {array.shape}".encode())
            for start in range(0, len(array), 4096):  # by pieces: an array may lie in files
                found.update(np.ascontiguousarray(array[start : start + 4096]).data)
    return found.hexdigest()
