"""What can be counted of an example: its columns in their own unit, or a few plain facts of what has no columns. numpy only.

Drift is a difference of distributions, so shipping and watching must look at the same quantities. Both call these functions on
what the network takes ([N, *shape], as `preprocess.apply` gives it) and on what it answers, and so cannot differ:

    table      each column, in its own unit and within the range of training (where it is made normal by ranks, or clipped); a date's parts as "column.part"
    vector     each number up to WIDE of them; "mean" and "spread"
    image      "mean", "spread" and "edges" (mean step between neighbours: falls with blur, grows with noise) of each channel
    audio      "loudness" (dB of full scale), "crossings" (share of neighbours with another sign), "silence" (share of zeros)
    series     "mean", "spread" and "last" of each channel
    tokens     "tokens" (how many), "unknown" (their share); of pairs, of the source

and of answers: "prediction", "confidence" (probability of what is predicted), of an open set "energy" too; of several labels each
label's "yes" or "no"; of values each target; of pixels the share of each class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.runtime import answers

WIDE = 1024  # numbers of a vector, labels and targets that are told one by one
MISSING = -1  # the code of a category that misses; that of a level which train did not have is len(levels)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """One quantity of N examples. levels: () for a number, and values are then float64 with NaN where it misses; else the names of
    a category's levels, and values are codes: places in `levels`, len(levels) for any other, -1 where it misses."""

    name: str
    values: NDArray[Any]
    levels: tuple[str, ...] = ()


def of_input(schema: Mapping[str, Any], x: NDArray[Any]) -> list[Feature]:
    """The features of examples as the network takes them, [N, *shape]. schema: what preprocessing.json holds of the input."""
    kind = str(schema["kind"])
    if kind == "table":
        return list(_columns(schema, x))
    if kind in ("tokens", "pair"):
        return _tokens(x[:, : int(schema["source"])] if kind == "pair" else x, schema)
    if kind == "audio":
        return _sounds(x.reshape(len(x), -1))
    if kind == "image":
        return list(_pixels(x))
    if kind in ("series", "forecast"):
        return list(_channels(x, [str(name) for name in schema.get("columns", ())]))
    flat = x.reshape(len(x), -1).astype(np.float64)
    each = [Feature(f"number {at}", flat[:, at]) for at in range(flat.shape[1])] if flat.shape[1] <= WIDE else []
    return [*each, Feature("mean", flat.mean(axis=1)), Feature("spread", flat.std(axis=1))]


def _columns(schema: Mapping[str, Any], x: NDArray[Any]) -> Iterator[Feature]:
    """The inverse of `preprocess`: features [N, D] as columns again."""
    at = 0
    for column in cast("list[dict[str, Any]]", schema["columns"]):
        name = str(column["name"])
        if column["type"] == "category":
            levels = tuple(str(level) for level in column["levels"])
            width = len(levels) + bool(column["other"]) + bool(column["indicator"])
            block: NDArray[Any] = x[:, at : at + width]
            codes = np.where(block.any(axis=1), block.argmax(axis=1), len(levels)).astype(np.int64)
            if column["indicator"]:
                codes[block[:, -1] > 0] = MISSING
            yield Feature(name, codes, levels)
        else:
            parts = [str(part) for part in column.get("parts", ())] or [""]
            width = len(parts) + bool(column["indicator"])
            found = _in_unit(column, x[:, at : at + len(parts)].astype(np.float64))
            if column["indicator"]:
                found[x[:, at + width - 1] > 0.5] = np.nan
            for number, part in enumerate(parts):
                yield Feature(f"{name}.{part}" if part else name, found[:, number])
        at += width


def _in_unit(column: Mapping[str, Any], scaled: Floats) -> Floats:
    """Standardized numbers in their own unit again; see `preprocess`."""
    if "knots" in column:
        at, ranks = (np.asarray(column[key], dtype=np.float64) for key in ("knots", "ranks"))
        return np.interp(scaled, ranks, at)
    mean, std = (np.atleast_1d(np.asarray(column[key], dtype=np.float64)) for key in ("mean", "std"))
    return scaled * std + mean


def _tokens(x: NDArray[Any], schema: Mapping[str, Any]) -> list[Feature]:
    tokens = (x != 0).sum(axis=1)
    known = [Feature("tokens", tokens.astype(np.float64))]
    if cast("Mapping[str, Any]", schema["tokenizer"]).get("kind") in ("byte", "grams"):
        return known  # which know everything, or leave out what they do not
    return [*known, Feature("unknown", (x == 1).sum(axis=1) / np.maximum(1, tokens))]


def _sounds(x: NDArray[Any]) -> list[Feature]:
    full = 32768.0 if x.dtype.kind == "i" else 1.0
    waves = x.astype(np.float64) / full
    power = np.sqrt(np.mean(waves**2, axis=1))
    crossings = np.mean(np.signbit(waves[:, 1:]) != np.signbit(waves[:, :-1]), axis=1)
    loud = 20 * np.log10(np.maximum(power, 1e-6))
    return [Feature("loudness", loud), Feature("crossings", crossings), Feature("silence", np.mean(x == 0, axis=1))]


def _pixels(x: NDArray[Any]) -> Iterator[Feature]:
    images = x.astype(np.float64)
    for channel in range(images.shape[1]):
        plane: Floats = images[:, channel]
        of = f" {channel}" if images.shape[1] > 1 else ""
        flat = plane.reshape(len(plane), -1)
        steps = [np.abs(np.diff(plane, axis=axis)).reshape(len(plane), -1) for axis in (1, 2)]
        yield Feature(f"mean{of}", flat.mean(axis=1))
        yield Feature(f"spread{of}", flat.std(axis=1))
        yield Feature(f"edges{of}", np.concatenate([np.zeros((len(plane), 1)), *steps], axis=1).mean(axis=1))


def _channels(x: NDArray[Any], names: Sequence[str]) -> Iterator[Feature]:
    shown = names or [str(channel) for channel in range(x.shape[1])]
    for channel, name in enumerate(shown):  # behind the columns of a forecast stands its calendar
        line = x[:, channel].astype(np.float64)
        yield Feature(f"{name}.mean", line.mean(axis=1))
        yield Feature(f"{name}.spread", line.std(axis=1))
        yield Feature(f"{name}.last", line[:, -1])


def of_answers(
    kind: str, labels: Sequence[str], targets: Sequence[str], told: NDArray[Any], lengths: NDArray[Any] | None = None,
    rule: Mapping[str, Any] | None = None,
) -> list[Feature]:  # fmt: skip
    """The features of what the network told of N examples.

    Args:
        targets: names of several values. told: as `Model.told` gives it. lengths: of sequences, how many places are real.
        rule: of an open set.
    """
    names = tuple(labels)
    if kind in answers.VALUES:
        return _values(targets, told.reshape(len(told), -1).astype(np.float64))
    if kind == "multilabel":
        sure = Feature("confidence", np.maximum(told, 1 - told).mean(axis=1).astype(np.float64))
        yes = [Feature(f"label {name}", (told[:, at] >= answers.THRESHOLD).astype(np.int64), ("no", "yes"))
               for at, name in enumerate(names[:WIDE])]  # fmt: skip
        return [sure, *yes]
    if kind in answers.PIXELS:
        flat = told.reshape(len(told), -1, len(names))
        share = [(flat.argmax(axis=2) == at).mean(axis=1) for at in range(min(len(names), WIDE))]
        sure = Feature("confidence", flat.max(axis=2).mean(axis=1).astype(np.float64))
        return [sure, *(Feature(f"share of {name}", one) for name, one in zip(names, share, strict=False))]
    if kind in answers.PLACES:
        real: NDArray[Any] = np.full(len(told), told.shape[1]) if lengths is None else lengths
        at: NDArray[np.int64] = np.arange(told.shape[1], dtype=np.int64)
        places: NDArray[np.bool_] = np.less(at[None, :], real[:, None])
        best, codes = told.max(axis=2).astype(np.float64), told.argmax(axis=2)
        sure = Feature("confidence", (best * places).sum(axis=1) / np.maximum(1, places.sum(axis=1)))
        return [sure] if kind == "language" else [sure, Feature("prediction", codes[places].astype(np.int64), names)]
    p_NL = told[:, : len(names)]
    sure = Feature("confidence", p_NL.max(axis=1).astype(np.float64))
    if kind != answers.OPEN:
        return [sure, Feature("prediction", p_NL.argmax(axis=1).astype(np.int64), names)]
    from tuneful.runtime.openset import margins

    codes = np.where(margins(rule or {}, told) >= 0, p_NL.argmax(axis=1), len(names)).astype(np.int64)
    return [sure, Feature("prediction", codes, names), Feature("energy", told[:, -1].astype(np.float64))]


def _values(targets: Sequence[str], told: Floats) -> list[Feature]:
    """One target: "value"; several: each; a forecast: the mean over its steps of each."""
    if len(targets) < 2:
        return [Feature("value", told.mean(axis=1))]
    each = told.reshape(len(told), -1, len(targets)).mean(axis=1)
    return [Feature(name, each[:, at]) for at, name in enumerate(targets[:WIDE])]


__all__ = ["MISSING", "WIDE", "Feature", "of_answers", "of_input"]
