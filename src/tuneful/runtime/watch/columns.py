"""Columns to compare: those of reference.json, of other data, or of a window of what was recorded, under one pair of names each.

A key is (part, name), part "inputs" or "answers". A column that misses values gives a second one, "name is missing", where that may
change. In sequence a column is a stream of scores: its numbers as they are, its levels by how frequent they were before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.runtime.features import MISSING, Feature
from tuneful.runtime.watch.samples import Floats, Levels, Numbers

Key = tuple[str, str]
Column = Numbers | Levels
Columns = dict[Key, Column]
OTHER = "(other)"
BAG = 5000  # scores of the reference that a stream is ranked among
_THERE, _GONE = "there", "missing"


def of_reference(told: Mapping[str, Any]) -> Columns:
    """Of what `runtime.reference.read` gives."""
    found: Columns = {}
    for part in ("inputs", "answers"):
        for one in features_of(told, part):
            missing = int(one["missing"])
            if one["type"] == "category":
                counts = {str(level): int(count) for level, count in zip(one["levels"], one["counts"])}
                found[part, str(one["name"])] = Levels(
                    counts | ({OTHER: int(one["other"])} if one["other"] else {}), missing
                )
            else:
                found[part, str(one["name"])] = Numbers(np.array(one["quantiles"], dtype=np.float64), int(one["n"]), missing)
    return found


def features_of(told: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    """The features of a section, none where there is no such section."""
    section = cast("Mapping[str, Any]", told.get(part) or {})
    return list(section.get("features", ()))


def of_features(part: str, features: Sequence[Feature]) -> Columns:
    """Of features as they are counted."""
    return {(part, one.name): column(one.values, one.levels) for one in features}


def column(values: NDArray[Any], levels: Sequence[str] = ()) -> Column:
    """One column. levels: the names of codes; () for numbers."""
    if not levels:
        return Numbers.of(values)
    codes = np.where(np.isfinite(values), values, MISSING).astype(np.int64)
    counts = np.bincount(np.clip(codes[codes != MISSING], 0, len(levels)), minlength=len(levels) + 1)
    names = [*levels, OTHER]
    return Levels(
        {names[at]: int(count) for at, count in enumerate(counts) if count or at < len(levels)},
        int((codes == MISSING).sum()),
    )


def missing(one: Column) -> Levels:
    """How many values are there, and how many are missing."""
    return Levels({_THERE: one.n, _GONE: one.missing})


def scores(before: Column, values: NDArray[Any], levels: Sequence[str] = ()) -> Floats:
    """A column's values in sequence as numbers to be ranked; NaN where missing."""
    if isinstance(before, Numbers) or not levels:
        return np.asarray(values, dtype=np.float64)
    rank = _ranked(before)
    told = np.array([rank.get(name, len(rank)) for name in (*levels, OTHER)], dtype=np.float64)
    codes = np.where(np.isfinite(values), values, MISSING).astype(np.int64)
    return np.where(codes == MISSING, np.nan, told[np.clip(codes, 0, len(levels))])


def bag(before: Column) -> Floats:
    """Scores of the reference, at most BAG."""
    if isinstance(before, Numbers):
        return before.sample(BAG)
    share = min(1.0, BAG / max(1, before.n))
    rank = _ranked(before)
    return np.repeat(
        [float(rank[name]) for name in before.counts], [round(count * share) for count in before.counts.values()]
    )


def _ranked(before: Levels) -> dict[str, int]:
    return {name: at for at, name in enumerate(sorted(before.counts, key=lambda name: (-before.counts[name], name)))}


__all__ = ["BAG", "OTHER", "Column", "Columns", "Key", "bag", "column", "missing", "of_features", "of_reference", "scores"]
