"""Cleaning, step by step, each with its count in the ledger.

    mend    text, in all parts, before anything is decided
    sift    train, once the splits are cut: valid, test and what is predicted lose nothing
    fill    is learned from what is left of train by `columns`; here it is counted

What nobody asked for is done only where the data could not serve otherwise (a missing value needs some number), and is told by
the same entries, by "auto".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.config import nearest
from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.mojibake import mended
from tuneful.core.task import Finding
from tuneful.pipeline.ledger import Ledger
from tuneful.pipeline.likeness import near
from tuneful.runtime.pixels import show_path
from tuneful.techniques.cleaners import DropLabels, Examples, Mender, Sifter
from tuneful.techniques.sources import Arrays, Files, Masked, Pairs, Prose, Raw, Sentences, Stored, Table, Texts

if TYPE_CHECKING:
    import polars as pl

    from tuneful.pipeline.targets import Target

_SPECIAL = r"[^\t\n\r\x20-\x7e]"  # text without such letters needs no mending
Chosen = dict[str, tuple[str, NDArray[np.int64]]]


@dataclass(frozen=True)
class Look:
    """How examples of a part are looked at. prints(part, columns) and absent(part, columns): see `Examples`; sketch(part): what
    `likeness.near` compares, None where nothing tells how alike two examples are."""

    prints: Callable[[str, Sequence[str]], NDArray[Any]]
    absent: Callable[[str, Sequence[str]], NDArray[Any] | None] = lambda part, columns: None
    sketch: Callable[[str], NDArray[Any] | None] = lambda part: None


def data_of(part: object) -> tuple[str, str]:
    """What `Cleaner.serves` calls this data, and what people do."""
    if isinstance(part, Files):
        return part.media, f"{part.media}s"
    if isinstance(part, Arrays):
        kind = part.form or ("vector" if part.x.ndim <= 2 else "image")
        return kind, {"series": "time series", "vector": "an array of numbers"}.get(kind, "images")
    if isinstance(part, Stored):
        return "stored", "a table that stays on disk, where rows cannot be cleaned yet"
    if isinstance(part, Masked):
        return "mask", "images with masks"
    if isinstance(part, Pairs):
        return "pair", "pairs of texts"
    known = {Table: ("table", "a table"), Texts: ("text", "texts"), Sentences: ("sentence", "sentences with tags")}
    return known.get(cast("Any", type(part)), ("prose", "running text"))


def names(paths: Sequence[bytes]) -> tuple[str, ...]:
    """What files are called below the folder that holds all of them."""
    folders = os.path.commonpath([os.path.dirname(path) for path in paths])
    at = len(os.path.join(folders, b"")) if folders else 0
    return tuple(show_path(path[at:]) for path in paths)


def count(part: Arrays | Files | Masked | Table | Stored | Texts | Sentences | Prose | Pairs) -> int:
    """How many examples a part has."""
    if isinstance(part, Table | Stored):
        return part.frame.height if isinstance(part, Table) else part.height
    if isinstance(part, Texts | Sentences):
        return len(part.texts if isinstance(part, Texts) else part.words)
    if isinstance(part, Prose | Pairs):
        return len(part.text if isinstance(part, Prose) else part.sources)
    return len(part.paths) if isinstance(part, Files | Masked) else len(part.y)


# Mend


def mend(ledger: Ledger, raw: Raw, findings: list[Finding]) -> Raw:
    """The data with its text put right by the steps that were asked for; without any, a finding where text needs it."""
    steps = ledger.of(Mender)
    flags: Mapping[str, bool] = steps[0].flags() if steps else {}
    parts: dict[str, Any] = {}
    wrong: dict[str, NDArray[np.bool_]] = {}
    some: list[str] = []
    for part, given in raw.parts.items():
        parts[part], wrong[part] = _mended(given, flags, some)
    if steps:
        ledger.mended = wrong
        return replace(raw, parts=parts)
    count = sum(int(found.sum()) for found in wrong.values())
    if count:
        text = "texts look as if they had been read by the wrong table of letters, or hold marks and control characters"
        findings.append(Finding("warning", text, count, sum(map(len, wrong.values())), tuple(some[:3]),
                                "clean=fix_encoding puts them right, here and in what is predicted"))  # fmt: skip
    return raw


def flags(ledger: Ledger) -> dict[str, Any]:
    """{"mend": ...} for the schema, so that what is predicted is put right too; {} without such a step."""
    steps = ledger.of(Mender)
    return {"mend": dict(steps[0].flags())} if steps else {}


def count_mended(ledger: Ledger, chosen: Mapping[str, tuple[str, Any]], what: str) -> None:
    """Write down how many examples of each split were put right."""
    for step in ledger.of(Mender):
        for split, (part, indices) in chosen.items():
            found = ledger.mended[part][indices]
            ledger.tell(step, split, f"{what} whose text was put right", int(found.sum()), len(found))


def _mended(given: Any, flags: Mapping[str, bool], some: list[str]) -> tuple[Any, NDArray[np.bool_]]:
    """A part with its text put right, and which examples changed."""

    def right(text: str) -> str:
        out = mended(text, **flags)
        if out != text and len(some) < 3:
            some.append(f"{text[:30]!r} is {out[:30]!r}")
        return out

    if isinstance(given, Table):
        return _table(given, right)
    if isinstance(given, Texts):
        texts = tuple(map(right, given.texts))
        labels = tuple(None if label is None else right(label) for label in given.labels)
        pairs = zip(zip(texts, labels), zip(given.texts, given.labels))
        return Texts(texts, labels), np.array([new != old for new, old in pairs], dtype=bool)
    if isinstance(given, Sentences):
        words = tuple(tuple(map(right, row)) for row in given.words)
        return Sentences(words, given.tags), np.array([a != b for a, b in zip(words, given.words)], dtype=bool)
    if isinstance(given, Prose):
        lines = [right(line) for line in given.text.split("\n")]
        text = "\n".join(lines)
        return Prose(text), np.array([text != given.text])
    return given, np.zeros(0, dtype=bool)


def _table(given: Table, right: Callable[[str], str]) -> tuple[Table, NDArray[np.bool_]]:
    import polars as pl

    frame, wrong = given.frame, np.zeros(given.frame.height, dtype=bool)
    for name, dtype in frame.schema.items():
        if dtype != pl.String:
            continue
        series = frame[name]
        special = np.flatnonzero(series.str.contains(_SPECIAL).fill_null(False).to_numpy())
        if not len(special):
            continue
        cells: list[Any] = series.to_list()
        for row in special.tolist():
            new = right(cells[row])
            wrong[row] |= new != cells[row]
            cells[row] = new.strip()
        frame = frame.with_columns(pl.Series(name, cells, dtype=pl.String))
    return replace(given, frame=frame), wrong


# Sift


def sift(
    ledger: Ledger, chosen: Mapping[str, tuple[str, Any]], target: Target, look: Look
) -> tuple[Chosen, dict[str, NDArray[Any]]]:
    """(which examples of which part make up each split, the targets of each split), after all steps that take examples out of
    train or change their targets. Raises DataError when a class would be lost."""
    out = cast("Chosen", dict(chosen))
    y = {split: target.y[part][indices] for split, (part, indices) in chosen.items()}
    dropped: set[int] = set()
    beside = (target.outside or ("oos",))[:1] if target.kind == "openset" else ()  # the number behind the last class
    for step in ledger.of(Sifter):
        part, indices = out["train"]
        seen = _seen(ledger, out, y["train"], target.labels + beside, look, frozenset(dropped))
        found = step.sift(seen)
        kind = str(step.as_data()["kind"])
        keep = np.asarray(found.keep, dtype=bool)
        _whole(kind, y["train"], found.y[keep], target.labels)
        for at, (what, count) in enumerate(found.told.items()):
            ledger.tell(step, "train", what, count, len(indices), () if at else found.examples)
        if isinstance(step, DropLabels):
            dropped |= {int(row) for row in seen.origin.rows[~keep]}
        out["train"], y["train"] = (part, indices[keep]), found.y[keep]
    return out, y


def _seen(
    ledger: Ledger, chosen: Chosen, y: NDArray[Any], labels: tuple[str, ...], look: Look, dropped: frozenset[int]
) -> Examples:
    part, indices = chosen["train"]

    def prints(columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        return {split: look.prints(p, columns)[at] for split, (p, at) in chosen.items()}

    def alike(likeness: float) -> tuple[NDArray[Any], NDArray[Any]] | None:
        sketches = {p: look.sketch(p) for p, _ in chosen.values()}
        if any(one is None for one in sketches.values()):
            return None
        return near({split: cast("Any", sketches[p])[at] for split, (p, at) in chosen.items()}, likeness)

    def absent(columns: Sequence[str]) -> NDArray[Any] | None:
        found = look.absent(part, columns)
        return None if found is None else found[indices]

    return Examples(y, labels, ledger.origin(indices), prints, alike, absent, dropped)


def _whole(kind: str, before: NDArray[Any], after: NDArray[Any], labels: Sequence[str]) -> None:
    """Raises DataError when a step leaves a class without any example of train."""
    if before.ndim != 1 or not labels:
        return
    lost = np.setdiff1d(before, after)
    lost = lost[lost < len(labels)]  # what is outside of the classes may be lost
    if len(lost):
        name, count = labels[int(lost[0])], int((before == lost[0]).sum())
        raise DataError(
            f'{kind} leaves class "{name}" without any example in train (it had {count}); each class needs at least one',
            "narrow the step, or collect more examples of the class",
        )


# Tables


def known_columns(ledger: Ledger, columns: Sequence[str], where: str) -> None:
    """Raises RecipeError for columns that a step names and the inputs do not have."""
    problems: list[Problem] = []
    for step in ledger.steps:
        for name in (one for one in step.named if one not in columns):
            kind = step.as_data()["kind"]
            known = ", ".join(columns[:12]) + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")
            guess = nearest(name, columns)
            text = f"clean.{kind}.columns names {name!r}, which is no input of {where}"
            problems.append(Problem("clean", text if guess else f"{text}; inputs are {known}", nearest=guess))
    if problems:
        raise RecipeError(problems)


def of_table(frames: Mapping[str, pl.DataFrame], words: Sequence[str]) -> Look:
    """How rows are looked at. words: those that mean "no value", in small letters."""
    import polars as pl

    def prints(part: str, columns: Sequence[str]) -> NDArray[Any]:
        frame = frames[part]
        return (frame.select(columns) if columns else frame).hash_rows(seed=0).to_numpy()

    def absent(part: str, columns: Sequence[str]) -> NDArray[Any]:
        frame = frames[part]
        found: list[NDArray[Any]] = []
        for name in columns or frame.columns:
            cells = frame[name]
            if cells.dtype == pl.String:
                lost = cells.fill_null("").str.strip_chars().str.to_lowercase().is_in(list(words))
            else:
                lost = cells.cast(float).fill_null(float("nan")).is_nan()
            found.append(lost.to_numpy())
        return np.stack(found, axis=1)

    return Look(prints, absent)


__all__ = ["Look", "count", "count_mended", "data_of", "flags", "known_columns", "mend", "names", "of_table", "sift"]
