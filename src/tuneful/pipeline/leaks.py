"""Columns that say nothing of their own: copies of others, and what gives the target away."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.task import Finding
from tuneful.pipeline.cells import PIECE, Frame, floats
from tuneful.runtime.preprocess import level, texts

if TYPE_CHECKING:
    import polars as pl

_EXACT = 1e-9  # relative: two columns closer than this are one


def _codes(series: pl.Series, column: dict[str, Any]) -> NDArray[np.int64]:
    """Levels numbered by their first row: two columns that say the same in other words have equal codes."""
    seen: dict[str, int] = {}
    out = np.empty(len(series), dtype=np.int64)
    for start in range(0, len(series), PIECE):
        text = (level(word, column["numeric"]) for word in texts(series.slice(start, PIECE).to_list()))
        out[start : start + PIECE] = [seen.setdefault(word, len(seen)) for word in text]
    return out


def without_copies(
    frame: Frame, columns: list[dict[str, Any]], missing: Sequence[str], keep: Sequence[str], findings: list[Finding]
) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    first: dict[bytes, str] = {}
    for column in columns:
        name = column["name"]
        print_ = _print(frame[name], column, missing)
        twin = first.setdefault(print_, name) if print_ else name
        if twin != name and name not in keep:
            text = f'column "{name}" says the same as "{twin}" in every row and is left out'
            findings.append(Finding("warning", text, frame.height, frame.height, (), f"keep={name} keeps it"))
            continue
        kept.append(column)
    return kept


def without_leaks(
    frame: Frame, columns: list[dict[str, Any]], y: NDArray[Any], missing: Sequence[str], keep: Sequence[str],
    findings: list[Finding],
) -> list[dict[str, Any]]:  # fmt: skip
    """Leave out what is the target in other words, or determines it in every row of train."""
    leaks = [column["name"] for column in columns if _tells(frame, column, y, missing)]
    everything = len(leaks) == len(columns)
    for name in leaks:
        if name in keep or everything:
            text = f'column "{name}" gives the target away in every row of train, and is kept'
            findings.append(Finding("warning", text, len(y), len(y), (), "" if name in keep else "no other column is left"))
        else:
            text = f'column "{name}" gives the target away in every row of train (a leak) and is left out'
            findings.append(
                Finding("warning", text, len(y), len(y), (), f"keep={name} keeps it, when it is known before the target")
            )
    return [column for column in columns if everything or column["name"] not in leaks or column["name"] in keep]


def _print(series: pl.Series, column: dict[str, Any], missing: Sequence[str]) -> bytes:
    """What two columns share that say the same; nothing where that is not looked at."""
    if column["type"] == "number":
        found = floats(series, column["name"], [*missing, *column.get("words", ())], column.get("decimal", "."))
        return b"n" + hashlib.blake2b(found.data).digest()
    if column["type"] == "category" and not column["other"]:
        return b"c" + hashlib.blake2b(_codes(series, column).data).digest()
    return b""


def _tells(frame: Frame, column: dict[str, Any], y: NDArray[Any], missing: Sequence[str]) -> bool:
    if y.ndim == 2:
        return any(_tells(frame, column, part, missing) for part in np.maximum(y, 0).T)
    name, n = column["name"], len(y)
    if column["type"] == "date" or n < 30:
        return False
    if column["type"] == "number":
        found = floats(frame[name], name, [*missing, *column.get("words", ())], column.get("decimal", "."))
        if np.isnan(found).any():
            return False
        if y.dtype.kind == "f":
            fitted = np.corrcoef(found, y.astype(np.float64))[0, 1]
            return bool(1 - abs(fitted) < _EXACT)
        codes = np.unique(found, return_inverse=True)[1]
        most = len(np.unique(y))  # a number leaks when it is one number a class; more may just be a good feature
    else:
        if y.dtype.kind == "f":
            return False
        codes = _codes(frame[name], column)
        most = n // 10
    kinds = int(codes.max()) + 1
    if kinds > most:
        return False
    pairs = np.unique(codes.astype(np.int64) * (int(y.max()) + 1) + y)
    return len(pairs) == kinds
