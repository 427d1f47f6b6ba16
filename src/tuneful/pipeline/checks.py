"""What may be wrong with data that can be read: each finding with its severity and its count.

Everything here looks at all splits and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.core.task import Finding
from tuneful.pipeline.lazy import Lazy, stamp

FEW = 10
"""Classes with fewer examples in train are told."""
SKEWED = 10
"""Classes are unbalanced when the largest has this many times the examples of the smallest."""


def finite(x: NDArray[Any] | Lazy, what: str) -> None:
    """Raises DataError when an array holds NaN or infinite values."""
    if x.dtype.kind != "f":
        return
    bad = nan = 0
    first = ""
    for start in range(0, len(x), 4096):  # by pieces, so that no mask of the whole is made; an array may lie in files
        piece = x[start : start + 4096]
        strange = ~np.isfinite(piece)
        if strange.any():
            place = np.argwhere(strange)[0]
            first = first or ", ".join(str(int(at) + (0 if axis else start)) for axis, at in enumerate(place))
            bad, nan = bad + int(strange.sum()), nan + int(np.isnan(piece).sum())
    if bad:
        raise DataError(
            f"{what} has {bad} of {math.prod(x.shape)} values that are NaN ({nan}) or infinite ({bad - nan}) "
            f"(first: index [{first}]); all must be finite",
            "fill or remove them; a table with missing values can be given as CSV, Parquet or data frame",
        )


def prints(x: NDArray[Any] | Lazy) -> NDArray[np.uint64]:
    """A number for each example that equal examples share and others, but for one chance in 2^64, do not. About 1 GB/s."""
    if isinstance(x, Lazy):
        return x.stamps
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    if flat.dtype.kind == "f":
        flat = flat + 0.0  # -0.0 is 0.0
    digest = b"".join(stamp(row) for row in flat)
    return np.frombuffer(digest, dtype=np.uint64)


def repeats(parts: Mapping[str, NDArray[np.uint64]], y: Mapping[str, NDArray[Any]], what: str) -> list[Finding]:
    """Equal examples inside a split, with other labels, and in two splits (which makes results look too good)."""
    found: list[Finding] = []
    for split, here in parts.items():
        _, first, inverse, counts = np.unique(here, return_index=True, return_inverse=True, return_counts=True)
        again = int((counts - 1).sum())
        if not again:
            continue
        examples = tuple(f"{what} {int(i)}" for i in first[counts > 1][:3])
        hint = "clean=deduplicate keeps the first of each" if split == "train" else ""
        found.append(Finding("note", f"{split} repeats examples", again, len(here), examples, hint))
        if y[split].dtype.kind != "f":
            often = np.flatnonzero(counts[inverse] > 1)
            other = y[split][often] != y[split][first[inverse[often]]]
            if clash := int(other.reshape(len(often), -1).any(axis=1).sum()):
                text = f"equal examples bear different classes in {split}"
                found.append(Finding("warning", text, clash, len(here), (), "a model cannot get all of them right"))
    names = list(parts)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            shared = np.isin(parts[b], parts[a])
            if shared.any():
                text = f"examples of {b} are in {a} too (a leak)"
                examples = tuple(f"{what} {int(k)}" for k in np.flatnonzero(shared)[:3])
                how = "clean=deduplicate takes them out of train" if a == "train" else f"remove them from {a}"
                hint = f"results on {b} look better than they are; {how}"
                found.append(Finding("warning", text, int(shared.sum()), len(shared), examples, hint))
    return found


def classes(y: Mapping[str, NDArray[Any]], labels: Sequence[str]) -> list[Finding]:
    """Classes with few examples, classes that a split lacks, and imbalance."""
    found: list[Finding] = []
    counts = np.bincount(y["train"], minlength=len(labels))
    total = int(counts.sum())
    single = [labels[i] for i in np.flatnonzero(counts == 1).tolist()]
    if single:
        text = "classes have one example only in train"
        found.append(Finding("warning", text, len(single), len(labels), tuple(single[:5]), "collect more of them"))
    few = [f"{labels[i]}: {counts[i]}" for i in np.flatnonzero((counts > 1) & (counts < FEW)).tolist()]
    if few:
        text = f"classes have fewer than {FEW} examples in train"
        found.append(Finding("warning", text, len(few), len(labels), tuple(few[:5]), "collect more of them"))
    for split in ("valid", "test"):
        absent = [labels[i] for i in np.flatnonzero(np.bincount(y[split], minlength=len(labels)) == 0).tolist()]
        if absent:
            text = f"classes have no example in {split}, so nothing can be said of them there"
            found.append(Finding("warning", text, len(absent), len(labels), tuple(absent[:5])))
    if counts.min() * SKEWED < counts.max():
        ends = (f"{labels[int(counts.argmax())]}: {counts.max()}", f"{labels[int(counts.argmin())]}: {counts.min()}")
        hint = "accuracy says little here; metric=balanced_accuracy or metric=f1_macro weighs all classes alike"
        found.append(Finding("warning", "the classes are unbalanced", int(counts.max()), total, ends, hint))
    return found


def labels(y: Mapping[str, NDArray[Any]], names: Sequence[str]) -> list[Finding]:
    """Labels that few examples of train bear, or that a split does not show both with and without."""
    found: list[Finding] = []
    counts = (y["train"] == 1).sum(axis=0)
    few = [f"{names[i]}: {counts[i]}" for i in np.flatnonzero(counts < FEW).tolist()]
    if few:
        found.append(Finding("warning", f"labels are borne by fewer than {FEW} examples of train", len(few), len(names), tuple(few[:5]),
                             "collect more of them"))  # fmt: skip
    for split, here in y.items():
        one = [names[i] for i in np.flatnonzero(((here == 1).sum(axis=0) == 0) | ((here == 0).sum(axis=0) == 0)).tolist()]
        if one:
            text = f"labels are borne by no example, or by all, in {split}, so nothing can be said of them there"
            found.append(Finding("warning", text, len(one), len(names), tuple(one[:5])))
    return found


def features(x: NDArray[Any]) -> list[Finding]:
    """Constant and repeated features of vectors [N, D]."""
    found: list[Finding] = []
    spread = x.max(axis=0) == x.min(axis=0)
    if spread.any():
        examples = tuple(f"feature {int(i)}" for i in np.flatnonzero(spread)[:5])
        found.append(
            Finding("note", "features are constant in train and say nothing", int(spread.sum()), x.shape[1], examples)
        )
    _, first = np.unique(prints(np.ascontiguousarray(x.T)), return_index=True)
    twins = np.setdiff1d(np.flatnonzero(~spread), first)
    if len(twins):
        examples = tuple(f"feature {int(i)}" for i in twins[:5])
        found.append(Finding("note", "features repeat others in every row of train", len(twins), x.shape[1], examples))
    return found


def determined(x: NDArray[Any], y: NDArray[Any]) -> list[Finding]:
    """Features of vectors [N, D] that are the target itself, or a straight line of it."""
    if y.ndim == 2:
        return [finding for column in y.T for finding in determined(x, column)]
    if x.shape[1] > 5000 or len(y) < 30:
        return []
    a, b = x - x.mean(axis=0, dtype=np.float64), y - y.mean(dtype=np.float64)
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum())
    fit = np.abs(np.divide((a * b[:, None]).sum(axis=0), size, out=np.zeros(x.shape[1]), where=size > 0))
    leaks = np.flatnonzero(1 - fit < 1e-9)
    if not len(leaks):
        return []
    examples = tuple(f"feature {int(i)}" for i in leaks[:5])
    return [
        Finding("warning", "features give the target away (a leak)", len(leaks), x.shape[1], examples, "remove them from x")
    ]
