"""The ledger of cleaning: which steps were asked for, what each did to which split, and where the examples come from.

It is carried through `prepare` and written by whoever takes something out or changes it, also where nobody asked (rows without a
target, files that cannot be read, missing values that are filled in): these are entries too, by "auto".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import Problem, RecipeError
from tuneful.core.task import Cleaned, Origin
from tuneful.techniques.cleaners import Cleaner

Step = TypeVar("Step", bound=Cleaner)


class Ledger:
    """steps: in their order; told: what was done; rows: for each part of the data, the numbers of the examples that are left, in
    the part as it was given; names: of all examples of the train part, where they are files."""

    def __init__(self, steps: Sequence[Cleaner] = ()) -> None:
        self.steps = tuple(steps)
        self.told: list[Cleaned] = []
        self.rows: dict[str, NDArray[np.int64]] = {}
        self.given: dict[str, int] = {}
        self.names: tuple[str, ...] = ()
        self.mended: dict[str, NDArray[np.bool_]] = {}

    def of(self, kind: type[Step]) -> tuple[Step, ...]:
        """The steps of one kind."""
        return tuple(step for step in self.steps if isinstance(step, kind))

    def begin(self, sizes: Mapping[str, int]) -> None:
        """How many examples each part has, before anything is left out."""
        self.given = dict(sizes)
        self.rows = {part: np.arange(size) for part, size in sizes.items()}

    def left(self, part: str, kept: NDArray[Any], step: str, what: str, settings: Mapping[str, Any] | None = None) -> None:
        """Of a part these examples are left (their numbers, or a mask); the others go without being asked for."""
        before = len(self.rows[part])
        self.rows[part] = self.rows[part][kept]
        if part in self.mended:
            self.mended[part] = self.mended[part][kept]
        if gone := before - len(self.rows[part]):
            self.told.append(Cleaned(step, settings or {}, "auto", part, what, gone, before))

    def tell(self, step: Cleaner, split: str, what: str, count: int, of: int, examples: Sequence[str] = (), *,
             asked: bool = True) -> None:  # fmt: skip
        """Write down what a step did."""
        settings = {name: value for name, value in step.as_data().items() if name != "kind"}
        kind, by = str(getattr(step, "kind", type(step).__name__)), "asked" if asked else "auto"
        self.told.append(Cleaned(kind, settings, by, split, what, count, of, tuple(examples)))

    def origin(self, indices: NDArray[Any]) -> Origin:
        """Where these examples of the train part stand in the data."""
        rows = self.rows.get("train")
        rows = rows[indices] if rows is not None else np.asarray(indices)
        return Origin(rows, self.given.get("train", len(rows)), self.names)

    def serve(self, data: str, said: str) -> None:
        """Raises RecipeError for the steps that do not serve this kind of data. said: what the data is, for people."""
        problems = [
            Problem("clean", f"clean has {step.as_data()['kind']}, which serves {_or(step.serves)}; this data is {said}")
            for step in self.steps
            if data not in step.serves
        ]
        if data != "table":
            problems += [
                Problem("clean", f"clean names columns for {step.as_data()['kind']}; this data is {said} and has none")
                for step in self.steps
                if step.named and (not step.serves or data in step.serves)
            ]
        if problems:
            raise RecipeError(problems, "`tuneful list clean` says what each step is for")


def _or(words: Sequence[str]) -> str:
    named = [{"prose": "running text"}.get(word, f"{word}s") for word in words]
    named = [word.replace("seriess", "series") for word in named]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


__all__ = ["Ledger"]
