"""Which column is the target, and whether it holds classes or numbers.

Text makes classes; so do two distinct values, and whole numbers of which there are at most 20 kinds, each met 5 times on
average. Other numbers make a regression. `kind=` overrides this, `target=` the choice of the column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.config import nearest
from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding, Kind
from tuneful.pipeline.cells import Frame
from tuneful.runtime.preprocess import MISSING, cell, is_number, level

if TYPE_CHECKING:
    import polars as pl

KINDS = {
    "binary": "classes", "multiclass": "classes", "classification": "classes", "classes": "classes",
    "regression": "numbers", "numbers": "numbers", "multiregression": "numbers", "multilabel": "labels", "ordinal": "ordered",
    "forecasting": "series", "sequence_to_sequence": "texts", "translation": "texts", "seq2seq": "texts",
    "segmentation": "pixels", "openset": "classes", "language": "running",
}  # fmt: skip
_SURE = ("target", "label", "y", "labels", "targets")
_USUAL = (
    "survived", "species", "churn", "churned", "outcome", "response", "diagnosis", "income", "quality", "price", "saleprice",
    "sentiment", "intent", "spam", "median_house_value", "medhouseval", "medv", "variety", "default", "defaulted", "fraud", "is_fraud", "converted",
)  # fmt: skip
_MOST_CLASSES = 1000


@dataclass(frozen=True)
class Target:
    """kind; labels: class names by number, () for numbers; y: for each part int64 class numbers or float32 values; columns: the
    names of several target columns."""

    kind: Kind
    labels: tuple[str, ...]
    y: Mapping[str, NDArray[Any]]
    findings: tuple[Finding, ...] = ()
    columns: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()  # labels that are of no class


def check_kind(kind: str | None) -> str:
    """ "classes", "numbers", "labels" or "" for not said. Raises RecipeError for any other word."""
    if kind is None:
        return ""
    if kind not in KINDS:
        sentence = f"kind is {kind!r}; it must be binary, multiclass, openset, multilabel, ordinal, regression, segmentation, forecasting, language or sequence_to_sequence"
        raise RecipeError([Problem("kind", sentence, nearest=nearest(str(kind), KINDS))])
    return KINDS[kind]


# Which column


def choose(frame: Frame, where: str, target: str | None) -> tuple[str, Finding | None]:
    """The target's column, and how it came to be chosen. Raises DataError when nothing says which it is."""
    names = frame.columns
    if target is not None:
        if target not in names:
            guess = nearest(target, names)
            raise DataError(
                f'{where} has no column "{target}"; the target must be one of {_listed(names)}',
                guess and f"did you mean {guess}?",
            )
        return target, None
    lowered = {name.lower().replace(" ", "_"): name for name in reversed(names)}
    sure = [lowered[word] for word in _SURE if word in lowered]
    ends = [name for name in (names[-1], names[0]) if name.lower() == "class"]
    usual = [lowered[word] for word in _USUAL if word in lowered]
    for name, reason in [
        *((name, f'its name says "{name}"') for name in [*sure, *ends]),
        *((name, "its name is that of a usual target") for name in usual),
        *((name, "its name is class") for name in names if name.lower() == "class"),
        (names[-1], "it is the last column"),
    ]:
        doubt = _implausible(frame[name])
        if not doubt:
            severity: Literal["warning", "note"] = "note" if name in [*sure, *ends] else "warning"
            return name, Finding(
                severity, f'the target is "{name}", because {reason}', 1, 1, (), "give target=COLUMN for another"
            )
    candidates = [name for name in reversed(names) if not _implausible(frame[name])]
    raise DataError(
        f'{where} has no column named target, label, class or y, and the last column "{names[-1]}" cannot be meant: '
        f"{_implausible(frame[names[-1]])}",
        f"give target=COLUMN, such as target={candidates[0]} (of {_listed(names)})" if candidates else "give target=COLUMN",
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _implausible(column: pl.Series) -> str:
    """Why nobody would predict this column, or ""."""
    import polars as pl

    if column.dtype == pl.String:
        column = column.filter(~column.fill_null("").str.to_lowercase().is_in(list(MISSING)))
    else:
        column = column.drop_nulls()
    n, distinct = len(column), column.n_unique()
    if n == 0:
        return "all its values are missing"
    if distinct == 1:
        return "it holds one value only"
    numeric = column.cast(pl.Float64, strict=False) if column.dtype == pl.String else column
    if numeric.null_count() == 0:
        whole = bool((numeric == numeric.round()).all())
        rows = whole and n >= 20 and distinct == n and float(numeric.max() or 0) - float(numeric.min() or 0) == n - 1  # type: ignore[arg-type]
        return "it numbers the rows" if rows else ""
    if n >= 10 and distinct > 0.5 * n and numeric.null_count() > 0.1 * n:
        return f"it is text with {distinct} different values in {n} rows"
    if column.dtype == pl.String and bool(column.head(50).str.contains(r"^\d{4}-\d{2}-\d{2}").all()):
        return "it holds dates"
    return ""


# Classes or numbers


def decode(
    parts: Mapping[str, Sequence[Any] | NDArray[Any]], kind: str | None, name: str, levels: Sequence[str] = ()
) -> Target:
    """Raw targets of each part as class numbers or values; no value may be missing any more. levels: of an ordinal target, the
    lowest first; numbers need none.

    Raises: DataError for one class, targets that are no numbers where numbers are wanted, a class that train has not.
    """
    said = check_kind(kind)
    values = {split: _as_numbers(y) for split, y in parts.items()}
    train = values["train"]
    findings: list[Finding] = []
    if not said:
        said = "classes" if train is None or _few(train) else "numbers"
        if train is not None and said == "classes":
            text = f"{len(np.unique(train))} different numbers were taken as classes"
            findings.append(
                Finding("note", f'target "{name}": {text}', len(train), len(train), (), "kind=regression if they measure")
            )
        elif train is not None:
            text = f'target "{name}": many different numbers, so this is a regression'
            findings.append(Finding("note", text, len(train), len(train), (), "kind=multiclass if they name classes"))
    if said == "numbers":
        return _numbers(parts, values, name, findings)
    target = _classes(parts, name, findings, levels)
    if said == "ordered":
        return _ordered(target, levels, name)
    if kind == "binary" and len(target.labels) != 2:
        raise DataError(f'kind is binary, and target "{name}" has {len(target.labels)} classes; it must have 2')
    return target


def _as_numbers(y: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64] | None:
    if isinstance(y, np.ndarray) and y.dtype.kind in "iufb":
        return y.astype(np.float64)
    try:
        return np.array([float("nan" if v is None else v) for v in y], dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _few(values: NDArray[np.float64]) -> bool:
    distinct = np.unique(values)
    if len(distinct) <= 2:
        return True
    return bool((distinct == np.round(distinct)).all()) and len(distinct) <= 20 and len(values) >= 5 * len(distinct)


def _numbers(
    parts: Mapping[str, Any], values: Mapping[str, NDArray[np.float64] | None], name: str, findings: list[Finding]
) -> Target:
    found: dict[str, NDArray[Any]] = {}
    for split, y in values.items():
        if y is None:
            cells = [cell(v) for v in parts[split]]
            bad = [(i, text) for i, text in enumerate(cells) if not is_number(text)]
            row, text = bad[0]
            raise DataError(
                f'target "{name}" has {len(bad)} of {len(cells)} values that are not numbers (first: row {row + 1}, "{text}"); '
                "a regression needs numbers",
                f"name them missing with missing={text}, or give another target with target=COLUMN",
            )
        wrong = ~np.isfinite(y)
        if wrong.any():
            raise DataError(
                f'target "{name}" has {int(wrong.sum())} of {len(y)} values that are NaN or infinite '
                f"(first: index {int(np.argmax(wrong))}); all must be finite",
                "remove these examples",
            )
        found[split] = y.astype(np.float32)
    if float(np.ptp(found["train"])) == 0:
        raise DataError(f'target "{name}" is {found["train"][0]:g} in every example; there is nothing to learn')
    return Target("regression", (), found, tuple(findings))


def _ordered(target: Target, levels: Sequence[str], name: str) -> Target:
    """Classes whose numbers are their order. Raises DataError when nothing says what the order is."""
    if not levels and not all(is_number(label) for label in target.labels):
        raise DataError(
            f'kind is ordinal, and the levels of target "{name}" are words ({_listed(target.labels)}); their order is wanted',
            f"say levels={','.join(target.labels[:6])}, the lowest first",
        )
    if len(target.labels) < 3:
        raise DataError(f'kind is ordinal, and target "{name}" has 2 levels; with two there is no order', "leave kind out")
    n = len(target.y["train"])
    told = Finding(
        "note", f'target "{name}": the order of its levels is {_listed(target.labels)}', n, n, (), "levels=... gives another"
    )
    return replace(target, kind="ordinal", findings=(*target.findings, told))


def _classes(parts: Mapping[str, Any], name: str, findings: list[Finding], levels: Sequence[str] = ()) -> Target:
    words: dict[str, NDArray[Any]] = {}
    for split, y in parts.items():
        numeric = isinstance(y, np.ndarray) and y.dtype.kind in "iufb"
        if numeric and y.dtype.kind == "f" and not np.isfinite(y).all():
            wrong = ~np.isfinite(y)
            raise DataError(
                f'target "{name}" has {int(wrong.sum())} of {len(y)} values that are NaN or infinite '
                f"(first: index {int(np.argmax(wrong))}); each example needs a class",
                "remove these examples",
            )
        if numeric:
            known, inverse = np.unique(y, return_inverse=True)
            words[split] = np.array([cell(v) for v in known], dtype=object)[inverse]
        else:
            words[split] = np.array([cell(v) for v in y], dtype=object)
        if any(not word for word in words[split]):
            row = next(i for i, word in enumerate(words[split]) if not word)
            raise DataError(
                f'target "{name}" is missing in row {row + 1}; each example needs a class', "remove these examples"
            )
    every = set(words["train"])
    if all(is_number(word) for word in every):
        named = {word: level(word, True) for y in words.values() for word in set(y)}
        words = {split: np.array([named[word] for word in y], dtype=object) for split, y in words.items()}
        every = set(words["train"])
        labels = sorted(every, key=float)
    else:
        labels = sorted(every)
    if levels:
        if sorted(levels) != sorted(labels):
            odd = next((word for word in labels if word not in levels), "") or next(
                word for word in levels if word not in labels
            )
            raise DataError(
                f'levels names {_listed(levels)}; target "{name}" has {_listed(labels)} ("{odd}" is in one only)'
            )
        labels = list(levels)
    n = len(words["train"])
    if len(labels) < 2:
        raise DataError(
            f'target "{name}" has one class only ({labels[0] if labels else "none"}); at least two are wanted',
            "add examples of another class, or give another target",
        )
    if len(labels) > _MOST_CLASSES or (n >= 20 and len(labels) > 0.5 * n):
        raise DataError(
            f'target "{name}" has {len(labels)} different values in {n} examples; it is nearly an identifier and no class',
            "give another target with target=COLUMN, or kind=regression when it is a number",
        )
    if n >= 20 and len(labels) > 0.1 * n:
        text = f'target "{name}" has very many classes for its examples'
        findings.append(Finding("warning", text, len(labels), n, (), "it may be an identifier"))
    words = _reconciled(words, labels, name, findings)
    index = {label: number for number, label in enumerate(labels)}
    y = {split: np.array([index[word] for word in found], dtype=np.int64) for split, found in words.items()}
    return Target("binary" if len(labels) == 2 else "multiclass", tuple(labels), y, tuple(findings))


def _reconciled(
    words: Mapping[str, NDArray[Any]], labels: Sequence[str], name: str, findings: list[Finding]
) -> dict[str, NDArray[Any]]:
    """Classes of valid and test by the names that they have in train: "<=50K." is "<=50K"."""
    loose = {_loosened(label): label for label in labels}
    if len(loose) < len(labels):
        loose = {label: label for label in labels}
    out = {"train": words["train"]}
    for split, found in words.items():
        if split == "train":
            continue
        strange = sorted(set(found) - set(labels))
        renamed = {word: loose[_loosened(word)] for word in strange if _loosened(word) in loose}
        unknown = [word for word in strange if word not in renamed]
        if unknown:
            count = sum(word in set(unknown) for word in found)
            raise DataError(
                f'class "{unknown[0]}" is in {split} and never in train ({count} of {len(found)} examples bear such classes)',
                f"the classes of train are {_listed(labels)}",
            )
        if renamed:
            count = sum(word in renamed for word in found)
            pairs = tuple(f"{a} is {b}" for a, b in renamed.items())
            findings.append(
                Finding("note", f"classes of {split} are written otherwise than in train", count, len(found), pairs)
            )
            found = np.array([renamed.get(word, word) for word in found], dtype=object)
        out[split] = found
    return out


def _loosened(label: str) -> str:
    return re.sub(r"[\s.]+$", "", label).casefold()
