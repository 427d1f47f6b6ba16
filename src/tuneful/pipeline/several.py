"""Several targets at once: labels of which an example may bear any number, or several numbers.

Columns (or an array [N, L]) of which each holds two values that mean yes and no are labels; columns of numbers are a
regression of all of them. Lists of words are labels too, and so is a text column that kind=multilabel parts at "|", ";" or ",".
A label that has no value in a row is not known there (-1): it is neither learned nor judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.pipeline.targets import Target, check_kind
from tuneful.runtime.preprocess import MISSING, cell

_YES, _NO = frozenset(("1", "true", "yes", "y", "t")), frozenset(("0", "false", "no", "n", "f"))
_PARTERS = ("|", ";", ",")
Columns = Mapping[str, Sequence[Any] | NDArray[Any]]


def decode(parts: Mapping[str, Columns], kind: str | None, what: str) -> Target:
    """Several columns of each part as labels [N, L] int8 or values [N, M] float32.

    parts: {split: {column: values}}, all with the same columns; what: how findings name them. Raises DataError.
    """
    said = check_kind(kind)
    if said in ("classes", "ordered"):
        raise DataError(
            f"kind is {kind}, and {len(parts['train'])} columns are the target ({what}); one is wanted for that",
            "kind=multilabel and kind=regression take several",
        )
    words = {split: {name: _words(values) for name, values in columns.items()} for split, columns in parts.items()}
    binary = [name for name, found in words["train"].items() if set(found) <= {*_YES, *_NO, ""} and len(set(found)) > 1]
    names = list(parts["train"])
    if said == "labels" or (not said and len(binary) == len(names)):
        return _labels(words, names, what)
    if not said and binary:
        rest = [name for name in names if name not in binary]
        raise DataError(
            f'of the targets {what}, "{binary[0]}" says yes or no and "{rest[0]}" does not; all must be of one kind',
            "name those of one kind, or say kind=regression when all of them measure",
        )
    found = {s: np.stack([_numbers(words[s][n], n) for n in names], axis=1) for s in parts}
    for column, name in zip(found["train"].T, names, strict=True):
        if float(np.ptp(column)) == 0:
            raise DataError(f'target "{name}" is {column[0]:g} in every example; there is nothing to learn')
    n = len(found["train"])
    told = Finding("note", f"{len(names)} columns of numbers are the targets of a regression ({what})", n, n)
    return Target("multiregression", (), found, (told,), columns=tuple(names))


def lists(parts: Mapping[str, Iterable[Any]], name: str) -> Target:
    """One list of words for each example, as labels [N, L] int8."""
    sets = {s: [frozenset(cell(word) for word in row if cell(word)) for row in rows] for s, rows in parts.items()}
    every = sorted({word for row in sets["train"] for word in row})
    if len(every) < 2:
        raise DataError(f'target "{name}" has {len(every)} labels in all of train; at least two are wanted')
    findings: list[Finding] = []
    y: dict[str, NDArray[Any]] = {}
    for split, rows in sets.items():
        y[split], strange = borne(rows, every)
        if strange:
            text = f"examples of {split} bear labels that train never has, which are left out"
            findings.append(Finding("warning", text, strange, len(rows)))
    n = len(sets["train"])
    text = f'target "{name}": lists of {len(every)} different labels, {y["train"].sum() / n:.2g} an example'
    return Target("multilabel", tuple(every), y, (Finding("note", text, n, n), *findings))


def borne(rows: Sequence[Iterable[Any]], labels: Sequence[str]) -> tuple[NDArray[np.int8], int]:
    """Lists of words as [N, L], and how many of them hold words that are no label."""
    index = {label: k for k, label in enumerate(labels)}
    out, strange = np.zeros((len(rows), len(labels)), dtype=np.int8), 0
    for row, words in enumerate(rows):
        told = {cell(word) for word in words} - {""}
        known = [index[word] for word in told if word in index]
        out[row, known] = 1
        strange += len(known) < len(told)
    return out, strange


def parted(values: Sequence[Any], by: str) -> list[list[str]]:
    """A text column as lists of words. by: what stands between them, as `parter` found it."""
    return [[word for word in (part.strip(" []'\"") for part in cell(text).split(by)) if word] for text in values]


def parter(values: Sequence[Any]) -> str:
    """What stands between the words of a text column: the first of | ; , that occurs, else a comma."""
    texts = [cell(value) for value in values]
    return next((sign for sign in _PARTERS if any(sign in text for text in texts)), ",")


def listed(y: Any) -> bool:
    """Is it a list of lists (sets, tuples) of words?"""
    if isinstance(y, np.ndarray) and y.dtype == object and y.ndim == 1 and len(y):
        return all(isinstance(row, list | tuple | set | frozenset) for row in y)
    return isinstance(y, np.ndarray) and y.ndim == 2 and y.dtype.kind in "US"


def _words(values: Sequence[Any] | NDArray[Any]) -> list[str]:
    """Cells without case; "" where there is no value."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        known, inverse = np.unique(values, return_inverse=True)
        told = [cell(value.item()).casefold() for value in known]
        return [told[k] for k in inverse]
    found = [cell(value).casefold() for value in values]
    return ["" if text in MISSING else text for text in found]


def marked(columns: Columns, names: Sequence[str], where: str) -> NDArray[np.int8]:
    """Columns of yes and no as labels [N, L]: 1, 0 or -1 (no value). Raises DataError for any other word."""
    found: list[list[int]] = []
    for name in names:
        words = _words(columns[name])
        odd = next(((row, text) for row, text in enumerate(words) if text not in {*_YES, *_NO, ""}), None)
        if odd:
            raise DataError(
                f'label "{name}" holds {odd[1]!r} in row {odd[0] + 1} of {where}; it must be 1 or 0, yes or no, true or false',
                "write it so, or say kind=regression when the columns measure",
            )
        found.append([1 if text in _YES else 0 if text else -1 for text in words])
    return np.array(found, dtype=np.int8).T.copy()


def _labels(words: Mapping[str, Columns], names: Sequence[str], what: str) -> Target:
    y: dict[str, NDArray[Any]] = {}
    findings: list[Finding] = []
    for split, columns in words.items():
        y[split] = marked(columns, names, split)
        if unknown := int((y[split] < 0).sum()):
            text = f"labels of {split} have no value and are neither learned nor judged"
            findings.append(Finding("warning", text, unknown, y[split].size))
    n = len(y["train"])
    mean = float((y["train"] == 1).sum() / n)
    text = f"{len(names)} columns of yes and no are labels ({what}); an example bears {mean:.2g} of them"
    told = Finding("note", text, n, n, (), "kind=regression if they measure")
    return Target("multilabel", tuple(names), y, (told, *findings), columns=tuple(names))


def _numbers(found: list[str], name: str) -> NDArray[np.float32]:
    out = np.empty(len(found), dtype=np.float64)
    for row, text in enumerate(found):
        try:
            out[row] = float(text)
        except ValueError:
            raise DataError(
                f'target "{name}" holds {text!r} in row {row + 1}; a regression needs a number in each row',
                "take these rows out, or give other targets with target=COLUMN,COLUMN",
            ) from None
    if not np.isfinite(out).all():
        raise DataError(
            f'target "{name}" has {int((~np.isfinite(out)).sum())} values that are NaN or infinite; all must be finite'
        )
    return out.astype(np.float32)
