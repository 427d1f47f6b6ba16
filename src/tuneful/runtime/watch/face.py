"""From Python: `tuneful.watch(model, x)` looks at new examples, `tuneful.watch(model, record="predictions.db")` at a record."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tuneful.core.errors import TunefulError
from tuneful.runtime import answers
from tuneful.runtime.load import Model, load
from tuneful.runtime.watch import store
from tuneful.runtime.watch.judgement import Judged, judgeable, judged
from tuneful.runtime.watch.labels import joined
from tuneful.runtime.watch.look import How, look
from tuneful.runtime.watch.rate import Rate
from tuneful.runtime.watch.sides import Before, Now
from tuneful.runtime.watch.store import Recorded


@dataclass(frozen=True)
class Watched:
    """What was found. found: all of it, as plain data (see `look`)."""

    found: Mapping[str, Any]

    @property
    def drifted(self) -> bool:
        """Was there an alarm?"""
        return bool(self.found["drifted"])

    @property
    def headline(self) -> str:
        return str(self.found["headline"])

    @property
    def alarms(self) -> list[Mapping[str, Any]]:
        return list(self.found["alarms"])

    def __str__(self) -> str:
        return self.headline


def watch(
    model: Model | str | Path, x: Any = None, truth: Sequence[Any] | None = None, *, record: str | Path | None = None,
    labels: str | Path | None = None, reference: Any = None, alarm: str = "0.01/month", by: Sequence[str] = ("betting",), test: str = "auto",
    correction: str = "holm", window: str = "auto", windows: tuple[int, int] = (2, 5),
) -> Watched:  # fmt: skip
    """Has what a model meets, or what it answers, changed?

    Args:
        model: a loaded artifact, or its folder.
        x: new examples, as `Model.predict` takes them; compared once, as a whole. truth: what was true of each, as it is known.
        record: instead of x, the file that `tuneful serve --record` writes; watched in sequence. labels: a CSV of ids and labels for it.
        reference: what to compare with instead of the artifact's reference: other examples.
        alarm, by, test, correction, window, windows: as the command's options.

    Raises: TunefulError for what does not fit, in words.
    """
    opened = model if isinstance(model, Model) else load(model)
    if (x is None) == (record is None):
        raise TunefulError("give new examples or a record, and one of the two", "tuneful.watch(model, x), or record=FILE")
    how = How(Rate.of(alarm), tuple(by), test, correction, window, *windows)
    before = Before.of_artifact(opened) if reference is None else before_of(opened, reference)
    known: Judged | None = None
    if record is not None:
        one = recorded(Path(record), "", digest(opened))
        now = Now.of_recorded(one)
        known = None if labels is None else late(now, one, Path(labels))
    else:
        now = examples(opened, x, "new data")
        if truth is not None:
            if len(truth) != len(now) or not judgeable(now):
                raise TunefulError(
                    f"{len(truth)} truths were given for {len(now)} examples of a model of {opened.kind}; one each is wanted"
                )
            known = judged(now, np.arange(len(now)), [str(one) for one in truth], "truth")
    return Watched(look(before, now, how, known))


def before_of(model: Model, x: Any) -> Before:
    """Other examples as what they are compared with; how often answers are right stays as the artifact tells it."""
    bare = Before.of_artifact(model) if "reference.json" in model.artifact.names else Before({}, None, None, "")
    return bare.but(examples(model, x, "the reference given"), "the reference given")


def examples(model: Model, x: Any, what: str) -> Now:
    """Raw input as a side of a look. Raises DataError, and TunefulError for a forecast."""
    return Now.of_data(model, [encoded(model, x)], what)


def encoded(model: Model, x: Any) -> tuple[Any, Any]:
    """(what the network takes, what it tells) of raw input."""
    if model.kind == "forecasting":
        raise TunefulError(
            "a forecast looks at the end of its past alone, so there is one example in such data",
            "watch a record of `tuneful serve`",
        )
    given = model.encoded(x)
    return given, np.zeros((len(given), 0)) if model.kind in answers.TEXTS else model.told(given)


def digest(model: Model) -> str:
    """By which a record knows a model."""
    return str(model.artifact.manifest["files"]["model.onnx"]["sha256"])


def recorded(record: Path, of: str = "", sha256: str = "") -> Recorded:
    """One version of a record: NAME[:VERSION], or that of a network, or the one that answered last.

    Raises: TunefulError that names what there is. With several to choose from, a line on standard error tells which was taken.
    """
    found, _ = store.read(record)
    if not found:
        raise TunefulError(f"{record} holds no predictions yet", "ask the server something first")
    names = ", ".join(sorted({f"{one.name}:{one.version}" for one in found})[:20])
    if of:
        name, _, version = of.partition(":")
        found = [one for one in found if one.name == name and version in ("", one.version)]
    elif sha256:
        found = [one for one in found if one.sha256 == sha256]
    if not found:
        raise TunefulError(
            f"{record} has nothing of {of or 'this artifact'}", f"it has {names}; --of NAME:VERSION takes one of them"
        )
    newest = max(found, key=lambda one: one.times[-1])
    if not of and not sha256 and "," in names:
        print(f"note: watching {newest.name}:{newest.version} of {names}; --of takes another", file=sys.stderr)
    return newest


def late(now: Now, one: Recorded, labels: Path, target: str = "") -> Judged:
    """A file of labels joined to a record. Raises DataError, TunefulError."""
    if not judgeable(now):
        raise TunefulError(f"a model of {now.kind} has no single label an example", "leave the labels out")
    found = joined(labels, one.requests, one.rows, target)
    about = [f"{len(found.at)} labels joined to {len(now)} recorded examples"]
    if found.strangers:
        about.append(f"{found.strangers} lines are of examples that were not recorded")
    if found.again:
        about.append(f"{found.again} lines were replaced by later ones")
    return judged(now, found.at, found.truth, str(labels), tuple(about))


__all__ = ["Watched", "before_of", "digest", "encoded", "examples", "late", "recorded", "watch"]
