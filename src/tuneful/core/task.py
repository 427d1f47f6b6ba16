"""What is to be solved: three splits of the data, the objective, and what the checks found.

The test split is sealed: nothing but `task.test.open(reason)` yields it, and every opening is counted, kept beside the run
and printed in the evidence.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from tuneful.core.errors import DataError

if TYPE_CHECKING:
    import numpy as np

Kind = Literal[
    "binary",
    "multiclass",
    "multilabel",
    "ordinal",
    "regression",
    "multiregression",
    "tagging",
    "entities",
    "language",
    "forecasting",
    "sequence_to_sequence",
    "segmentation",
    "openset",
]
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that the checks found in the data.

    count of `of` items are affected; examples name a few of them; hint says what can be done. An "error" stops training.
    """

    severity: Severity
    what: str
    count: int
    of: int
    examples: tuple[str, ...] = ()
    hint: str = ""

    def __str__(self) -> str:
        shown = f" (such as {', '.join(self.examples[:3])})" if self.examples else ""
        return f"{self.severity}: {self.what}: {self.count} of {self.of}{shown}"


@dataclass(frozen=True)
class Cleaned:
    """What one step of cleaning did to one split: `count` of `of` things (examples, or cells) were changed or taken out.

    by: "asked" where the user named the step, "auto" where it is how missing things are treated when nothing is said."""

    step: str
    settings: Mapping[str, Any]
    by: Literal["asked", "auto"]
    split: str
    what: str
    count: int
    of: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = f" (such as {', '.join(self.examples[:3])})" if self.examples else ""
        return f"{self.step} ({self.by}), {self.split}: {self.what}: {self.count} of {self.of}{shown}"


@dataclass(frozen=True)
class Origin:
    """Where the examples of train stand in the data as it was given.

    rows: the number of each, from 0; of: how many there were; names: of all of them, where they are files."""

    rows: np.ndarray
    of: int
    names: tuple[str, ...] = ()

    def name(self, at: int) -> str:
        """What an example is called: its file, or its row, counted from 1."""
        row = int(self.rows[at])
        return self.names[row] if self.names else str(row + 1)


@dataclass(frozen=True)
class Split:
    """Examples. x: [N, C, H, W] uint8 or float32 for images, [N, D] float32 for tables and vectors;
    y: [N] int64 class numbers, [N, L] int8 labels (1: has it, 0: has it not, -1: not known), or [N] or [N, M] float32 targets in
    their own unit; [N, H, W] int16 classes of pixels (-1: none); [N, U] uint32 letters of the texts that are to be written.
    outside: [M, ...] examples that are of none of the classes, in a task that asks for that; they count as no example anywhere else.

    Of data that does not fit into memory, x is `pipeline.lazy.Lazy`: it has the length, shape, dtype and indexing of an array,
    and reads what is asked for."""

    x: np.ndarray
    y: np.ndarray
    outside: np.ndarray | None = None

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise DataError(
                f"there are {len(self.x)} examples and {len(self.y)} labels; both must be equally many",
                "give one label for each example, in the same order",
            )

    def __len__(self) -> int:
        return len(self.y)


class Sealed:
    """A split that is opened on purpose only. `log` is a file that keeps the openings over the lives of processes."""

    def __init__(self, split: Split, log: Path | None = None) -> None:
        self._split = split
        self._log = log
        self._openings: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._split)

    @property
    def outsiders(self) -> int:
        """How many examples of no class there are beside."""
        return 0 if self._split.outside is None else len(self._split.outside)

    def open(self, reason: str, of: str = "") -> Split:
        """The split itself. The opening is recorded with its reason before anything is returned.

        of: a digest of what is measured, down to its last weight. The same again shows nobody anything new: it is recorded too,
        but told as the same opening taken up again, as after a kill.
        """
        entry = {"reason": reason, "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")} | ({"of": of} if of else {})
        if self._log is None:
            self._openings.append(entry)
        else:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
        return self._split

    @property
    def openings(self) -> list[dict[str, Any]]:
        """Every opening so far, oldest first: reason and time; "again": when it was taken up again."""
        return merged(self._openings) if self._log is None else openings_in(self._log)

    def logged_in(self, log: Path) -> Sealed:
        """The same split whose openings are kept in `log`."""
        return Sealed(self._split, log)


def openings_in(log: Path) -> list[dict[str, Any]]:
    """The openings that a file keeps. A line that a full disk or a power cut has torn counts as an opening."""
    entries: list[dict[str, Any]] = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else ():
        try:
            entry = json.loads(line) if line.strip() else None
        except ValueError:
            entry = {"reason": "a line that cannot be read", "at": ""}
        if isinstance(entry, dict):
            entries.append(cast("dict[str, Any]", entry))
    return merged(entries)


def merged(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Openings for the same thing, to the last bit, as one; "again" holds the times of the later ones."""
    out: list[dict[str, Any]] = []
    first: dict[str, dict[str, Any]] = {}
    for entry in entries:
        same = first.get(str(entry.get("of", "")))
        if same is not None:
            same["again"] = [*same.get("again", []), entry.get("at", "")]
            continue
        out.append(dict(entry))
        if entry.get("of"):
            first[str(entry["of"])] = out[-1]
    return out


@dataclass(frozen=True)
class Objective:
    """What is optimized. margin: the difference that the user would not notice, in the metric's unit. also: what a network costs that
    counts beside it, the less the better; where: limits of costs, such as "latency<5ms" (`core.tradeoff`)."""

    metric: str
    direction: Literal["max", "min"]
    margin: float = 0.0
    also: tuple[str, ...] = ()
    where: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Plain data; what is not there is left out."""
        more = {name: list(told) for name, told in (("also", self.also), ("where", self.where)) if told}
        return {"metric": self.metric, "direction": self.direction, "margin": self.margin, **more}

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Objective:
        """The inverse of `as_data`."""
        return Objective(
            data["metric"], data["direction"], data["margin"], tuple(data.get("also", ())), tuple(data.get("where", ()))
        )

    def better(self, a: float, b: float) -> bool:
        """Is a strictly better than b? A NaN is never better, and everything is better than a NaN.

        >>> Objective("rmse", "min").better(0.1, 0.2), Objective("accuracy", "max").better(0.1, float("nan"))
        (True, True)
        """
        if a != a:
            return False
        if b != b:
            return True
        return a > b if self.direction == "max" else a < b


@dataclass(frozen=True)
class Task:
    """Everything that training needs to know of the data.

    labels: names of the classes (or of the labels, of which an example may bear several) in the order of their numbers, () for
        values.
    shape: of one example, (C, H, W) or (D,).
    normalize: {"mean": [...], "std": [...]} per channel (images) or per feature, fitted on train; empty when done already.
    target: {"mean": m, "std": s, "name": column} of a regression target, fitted on train; {"name": ...} otherwise. Where
        several columns are the target, "columns" names them, and mean and std are lists. Of an open set, "outside" holds the
        labels that are no classes, and "coverage" the share of the known that shall be answered.
    schema: how raw input becomes x, as plain data that `runtime.preprocess` reads; travels in the artifact.
    fingerprint: a hash over the bytes of all splits and the schema: the same data gives the same fingerprint.
    limits: what else must hold, such as {"latency_ms": 5.0}.
    cleaning: what was done to the data before anything learns from it, in order, a step and a split each.
    origin: where the examples of train stand in the data; None where they are none of it (windows of a series).
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    train: Split
    valid: Split
    test: Sealed
    objective: Objective
    fingerprint: str
    schema: Mapping[str, Any]
    normalize: Mapping[str, Any] = field(default_factory=dict[str, Any])
    target: Mapping[str, Any] = field(default_factory=dict[str, Any])
    findings: tuple[Finding, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict[str, float])
    source: str = ""
    cleaning: tuple[Cleaned, ...] = ()
    origin: Origin | None = None

    @property
    def outputs(self) -> int:
        """How many numbers are told of one example: one a class or label, one a target."""
        return len(self.labels) or len(self.target.get("columns", ())) or 1

    def outsiders(self) -> dict[str, int]:
        """How many examples of no class each split has."""
        beside = {"train": self.train.outside, "valid": self.valid.outside}
        return {name: 0 if x is None else len(x) for name, x in beside.items()} | {"test": self.test.outsiders}

    def logged_in(self, folder: Path) -> Task:
        """The same task whose openings of the test split are kept in `folder`."""
        return replace(self, test=self.test.logged_in(folder / "openings.jsonl"))

    def summary(self) -> dict[str, Any]:
        """Plain data for evidence and reports."""
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "labels": list(self.labels),
            "n_train": len(self.train),
            "n_valid": len(self.valid),
            "n_test": len(self.test),
            **({"n_outside": self.outsiders()} if self.kind == "openset" else {}),
            "objective": self.objective.as_data(),
            "fingerprint": self.fingerprint,
            "source": self.source,
            "target": dict(self.target),
            "findings": [vars(f) | {"examples": list(f.examples)} for f in self.findings],
            "cleaning": [vars(c) | {"settings": dict(c.settings), "examples": list(c.examples)} for c in self.cleaning],
            "openings": self.test.openings,
        }
