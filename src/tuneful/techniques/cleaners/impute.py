"""Impute: a missing value takes one that is learned from train, and a feature says that it was missing.

    mean, median, most_frequent   of the values of the column in train
    constant                      `value`

Means and medians are of numbers: with them a missing category stays a level of its own, and a missing date takes the middle of
each of its parts. The feature matters when values are not missing by pure chance. What happens to missing values when nothing is
said is this step with its defaults, and is told as such.

Source: Little & Rubin, Statistical Analysis with Missing Data, Wiley 1987, ch. 4; scikit-learn's SimpleImputer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from tuneful.core.config import Real
from tuneful.core.errors import DataError
from tuneful.techniques.cleaners.cleaner import Filler, Names


class Impute(Filler):
    """A missing value takes one that is learned from train, and a feature says so."""

    source: ClassVar[str] = "Little & Rubin, Statistical Analysis with Missing Data, 1987, ch. 4"
    cost: ClassVar[str] = "nothing to speak of; the indicator is one more feature a column"
    serves: ClassVar[tuple[str, ...]] = ("table",)

    kind: Literal["impute"] = "impute"
    how: Literal["median", "mean", "most_frequent", "constant"] = "median"  # what a missing value becomes
    value: Real | str = 0.0  # of how=constant: a number for columns of numbers, or text for categories
    indicator: bool = True  # does a feature say which values were missing in train?
    columns: Names = ()  # all that no other impute names when none is named

    @model_validator(mode="after")
    def _constant(self) -> Self:
        if self.how != "constant" and self.value != 0.0:
            raise ValueError(f"value is {self.value!r} and how is {self.how}; a value is for how=constant")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        return self.columns

    def number(self, found: NDArray[Any]) -> Mapping[str, Any]:
        here = found[~np.isnan(found)]
        if self.how == "constant" and isinstance(self.value, str):
            if self.columns:
                raise DataError(f"impute fills {self.value!r} in, and the column holds numbers", "give value=NUMBER")
            return {}
        if self.how == "constant":
            fill = float(self.value)
        elif self.how == "most_frequent":
            kinds, counts = np.unique(here, return_counts=True)
            fill = float(kinds[counts.argmax()])  # of equals the smallest, as scikit-learn does
        else:
            fill = float(np.mean(here)) if self.how == "mean" else float(np.median(here))
        return {"fill": fill, "indicator": self.indicator}

    def category(self, counts: Mapping[str, int]) -> Mapping[str, Any]:
        if self.how == "constant" and not isinstance(self.value, str) and not self.columns:
            return {}
        told: dict[str, Any] = {"indicator": self.indicator}
        if self.how == "constant":
            told["fill"] = self.value if isinstance(self.value, str) else f"{self.value:g}"
        elif self.how == "most_frequent" and counts:
            told["fill"] = min(counts, key=lambda level: (-counts[level], level))
        elif self.columns:
            raise DataError(
                f"impute fills the {self.how} in, and the column holds categories, which have none",
                "how=most_frequent and how=constant serve categories",
            )
        return told
