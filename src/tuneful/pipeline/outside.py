"""Examples of no known class: which they are, kept apart from the classes, and told. They make a task an open set.

Which labels mean "none of the classes" is said (outside=oos), or plain from the label itself (oos, out_of_scope ...); a source may
say it too, as CLINC150's parts do. outside=none makes them a class like any other, and outside=FILE brings a file that holds
nothing but outsiders. While splits are cut, outsiders have the number behind the last class; afterwards they stand beside the
splits (`Split.outside`), so that no measure of the classes ever counts them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.config import nearest
from tuneful.core.errors import DataError, Problem, RecipeError
from tuneful.core.task import Finding
from tuneful.pipeline import targets
from tuneful.pipeline.lazy import joined
from tuneful.pipeline.parts import Built, Options, Parts, take
from tuneful.pipeline.targets import Target
from tuneful.runtime.openset import ABSTAIN
from tuneful.runtime.preprocess import apply, cell
from tuneful.techniques import sources
from tuneful.techniques.sources import Arrays, Files, Table, Texts, note

if TYPE_CHECKING:
    import polars as pl

KIND = "openset"
LABEL = "oos"  # of what a source itself says to be outside
_NAMES = {"oos", "ood", "outofscope", "outofdomain", "outofdistribution"}  # without what parts the words
_CLASSES = (None, KIND, "classes", "classification")  # kinds under which a label may be found to be outside


@dataclass(frozen=True)
class Outside:
    """names: the labels that are outside; where: for each part which examples bear one [N] bool."""

    names: tuple[str, ...]
    where: Parts


def none(options: Options) -> bool:
    """Does the user want every label to be a class?"""
    return options.outside == ("none",)


def files(options: Options) -> list[Path]:
    """The files and folders among the things that are outside."""
    return [
        Path(name) for name in options.outside if name != "none" and ("/" in name or "." in name) and Path(name).exists()
    ]


def search(labels: Mapping[str, Sequence[Any]], options: Options, findings: list[Finding]) -> Outside | None:
    """What is outside among the labels of all parts (None is a source's own word for it); None in a task that is no open set.

    Raises: DataError for a label that no example bears, RecipeError where the task has no classes.
    """
    words = {part: [LABEL if v is None else cell(v) for v in found] for part, found in labels.items()}
    there = dict.fromkeys(word for found in words.values() for word in found)
    named = [name for name in options.outside if Path(name) not in files(options)]
    if none(options) or (not options.outside and options.kind not in _CLASSES):
        return None
    if options.kind not in (*_CLASSES, "multiclass", "binary"):
        raise RecipeError([Problem("outside", f"outside is for classes; kind is {options.kind}")])
    if odd := next((name for name in named if name not in there), ""):
        guess = nearest(odd, there)
        raise DataError(
            f'outside names "{odd}", and no example bears that label (there are {", ".join(list(there)[:8])} ...)',
            f"is it {guess}?" if guess else "a file of outsiders is named by its path, such as outside=data/oos.csv",
        )
    names = tuple(named or (word for word in there if plain(word)))
    if not options.outside and len(there) - len(names) < 2:
        return None if options.kind != KIND else Outside((), _where(words, ()))
    if not names and options.kind != KIND and not options.outside:
        return None
    if ABSTAIN in there and ABSTAIN not in names:
        raise DataError(f'a class is called "{ABSTAIN}", which is what the model says of what it does not know', "rename it")
    found = Outside(names, _where(words, names))
    total = sum(len(part) for part in found.where.values())
    if names:
        counts = tuple(f"{part}: {int(mask.sum())}" for part, mask in found.where.items())
        quoted = ", ".join(f'"{name}"' for name in names)
        text = f"examples labelled {quoted} are of no class: the model is to abstain from them"
        findings.append(Finding("note", text, sum(int(m.sum()) for m in found.where.values()), total, counts,
                                "outside=none makes a class of them"))  # fmt: skip
    return found


def decode(
    labels: Mapping[str, Sequence[Any] | NDArray[Any]], found: Outside | None, read: Callable[[Mapping[str, Any]], Target]
) -> Target:
    """What `read` makes of the labels of classes; those outside get the number behind the last class."""
    if found is None:
        return read(labels)
    kept = {part: _chosen(values, ~found.where[part]) for part, values in labels.items()}
    if empty := next((part for part, values in kept.items() if not len(values)), ""):
        raise DataError(
            f"{empty} holds no example of a class, {len(labels[empty])} outside of them",
            "give a file of nothing but outsiders as outside=FILE, beside data with classes",
        )
    target = read(kept)
    if target.kind not in ("binary", "multiclass"):
        raise RecipeError([Problem("outside", f"outside is for classes; this is a task of {target.kind}")])
    y: Parts = {}
    for part, mask in found.where.items():
        y[part] = np.full(len(mask), len(target.labels), dtype=np.int64)
        y[part][~mask] = target.y[part]
    return replace(target, kind=KIND, y=y, outside=found.names)


def of_table(
    frames: Mapping[str, pl.DataFrame], named: Sequence[str], options: Options, findings: list[Finding]
) -> Target | None:
    """The target of a table that makes an open set; None where it makes none."""
    import polars as pl

    column = ", ".join(named)
    if len(named) > 1 or isinstance(frames["train"].schema[named[0]], pl.List):
        return None
    labels = {part: frame[named[0]].to_list() for part, frame in frames.items()}
    found = search(labels, options, findings)
    return found and decode(labels, found, lambda known: targets.decode(known, options.kind, column))


def apart(built: Built, options: Options, findings: list[Finding]) -> tuple[Built, Parts]:
    """The splits without what is outside, and what is outside of each split; what outside=FILE brings is added."""
    if built.target.kind != KIND:
        return built, {}
    behind = len(built.target.labels)
    inside = {split: np.flatnonzero(y < behind) for split, y in built.y.items()}
    beside = {split: np.flatnonzero(y >= behind) for split, y in built.y.items()}
    outside: dict[str, Any] = {split: take(built.x[split], at) for split, at in beside.items()}
    for path in files(options):
        for split, x in _brought(path, built.schema, findings).items():
            outside[split] = joined(outside[split], x) if len(outside[split]) else x
    for split, words in (("train", "nothing teaches the network what is outside"),
                         ("test", "how well they are told from the known is not measured")):  # fmt: skip
        if not len(outside[split]):
            findings.append(note(f"{split} has no examples from outside of the classes; {words}"))
    parts = {split: take(built.x[split], at) for split, at in inside.items()}
    y = {split: built.y[split][at] for split, at in inside.items()}
    twins = {split: built.twins[split][at] for split, at in inside.items()}
    origin = built.origin and replace(built.origin, rows=built.origin.rows[inside["train"]])
    return replace(built, x=parts, y=y, twins=twins, origin=origin), outside


def _brought(path: Path, schema: Mapping[str, Any], findings: list[Finding]) -> Parts:
    """The examples of a file of outsiders, encoded; by its own splits, or all of them for the test."""
    raw = sources.read(path)
    parts = raw.parts if len(raw.parts) > 1 else {"test": next(iter(raw.parts.values()))}
    found = {split: apply(schema, _given(part, path)) for split, part in parts.items()}
    said = ", ".join(f"{split}: {len(x)}" for split, x in found.items())
    findings.append(note(f"{path} brings examples from outside of the classes ({said}); its labels are not looked at"))
    return found


def _given(part: Any, path: Path) -> Any:
    """A split of a source as `runtime.preprocess.apply` takes it."""
    if isinstance(part, Table):
        return {name: part.frame[name].to_list() for name in part.frame.columns}
    if isinstance(part, Texts):
        return list(part.texts)
    if isinstance(part, Files):
        return list(part.paths)
    if isinstance(part, Arrays):
        return part.x
    raise DataError(
        f"{path} holds {type(part).__name__.lower()}, which have no classes", "outside=FILE takes examples as the data"
    )


def _where(words: Mapping[str, Sequence[str]], names: Sequence[str]) -> Parts:
    return {part: np.array([word in names for word in found], dtype=bool) for part, found in words.items()}


def plain(word: str) -> bool:
    """Does a label say by itself that it is no class?

    >>> plain("Out-of-scope"), plain("oos_question")
    (True, False)
    """
    return re.sub(r"[\s_\-]+", "", word.casefold()) in _NAMES


def _chosen(values: Any, mask: NDArray[np.bool_]) -> Any:
    if isinstance(values, np.ndarray):
        return cast("Any", values)[mask]
    return [value for value, there in zip(values, mask, strict=True) if there]


__all__ = ["KIND", "Outside", "apart", "decode", "files", "none", "of_table", "plain", "search"]
