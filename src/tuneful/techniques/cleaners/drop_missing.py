"""Drop what misses: examples of train without a value in a column (any of the named ones, or all of them), or without any text.

Whoever is asked for a prediction may leave the same things out, so valid and test keep such rows, where the value is filled in.
What is left of train is not a fair sample of it unless values are missing by pure chance.

Source: Little & Rubin, Statistical Analysis with Missing Data, Wiley 1987, ch. 3 (complete-case analysis).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.techniques.cleaners.cleaner import Examples, Names, Sifted, Sifter


class DropMissing(Sifter):
    """Examples of train that miss a value are taken out."""

    source: ClassVar[str] = "Little & Rubin, Statistical Analysis with Missing Data, 1987, ch. 3"
    cost: ClassVar[str] = "one look at the cells of train"
    serves: ClassVar[tuple[str, ...]] = ("table", "text")

    kind: Literal["drop_missing"] = "drop_missing"
    columns: Names = ()  # that are looked at; all inputs when none is named
    when: Literal["any", "all"] = "any"  # is one missing value enough, or must all be missing?

    @property
    def named(self) -> tuple[str, ...]:
        return self.columns

    def sift(self, seen: Examples) -> Sifted:
        absent = seen.absent(self.columns)
        if absent is None:
            raise DataError("drop_missing looks for values that are missing, and this data can have none", "leave it out")
        drop: NDArray[Any] = np.asarray(absent.any(axis=1) if self.when == "any" else absent.all(axis=1))
        if drop.all():
            raise DataError(
                f"drop_missing would take all {len(drop)} examples out of train: each misses a value",
                "name the columns that matter, as in drop_missing(columns=NAME), or say when=all; impute fills values in",
            )
        at = np.flatnonzero(drop)
        return Sifted(~drop, seen.y, {"examples that miss a value are taken out": len(at)},
                      tuple(seen.origin.name(int(k)) for k in at[:3]))  # fmt: skip
