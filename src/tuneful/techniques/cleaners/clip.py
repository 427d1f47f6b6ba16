"""Clip outliers: numbers beyond what is usual in train are brought to its edge, in every split and when predicting.

    quantiles   low and high are two quantiles of the column, (0.001, 0.999) say ("winsorizing")
    mads        median -+ mads * 1.4826 * median(|x - median|); 1.4826 makes it the deviation of a normal distribution

Columns whose median deviation is 0 (more than half of their values are one) have no usual spread, and mads leaves them alone.

Source: Tukey, Ann. Math. Stat. 33, 1962, p. 18 (winsorizing); Hampel, J. Am. Stat. Assoc. 69, 1974, p. 388 (median deviation).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tuneful.core.config import NonNegative, Share
from tuneful.techniques.cleaners.cleaner import Filler, Names

_NORMAL = 1.4826  # 1 / the third quartile of the standard normal distribution

Edges = Annotated[tuple[Share, ...], Field(strict=False, min_length=2, max_length=2)]


class Clip(Filler):
    """Numbers beyond what is usual in train are brought to its edge."""

    source: ClassVar[str] = "Tukey, Ann. Math. Stat. 1962; Hampel, JASA 1974"
    cost: ClassVar[str] = "nothing to speak of"
    serves: ClassVar[tuple[str, ...]] = ("table",)

    kind: Literal["clip"] = "clip"
    quantiles: Edges = (0.001, 0.999)  # the edges: these quantiles of the column in train
    mads: NonNegative = 0.0  # edges so many median deviations from the median instead; 0 takes the quantiles
    columns: Names = ()  # of numbers; all of them when none is named

    @model_validator(mode="after")
    def _edges(self) -> Self:
        low, high = self.quantiles
        if low >= high:
            raise ValueError(f"quantiles are {low:g} and {high:g}; the first must be smaller")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        return self.columns

    def number(self, found: NDArray[Any]) -> Mapping[str, Any]:
        here = found[~np.isnan(found)]
        if self.mads:
            middle = float(np.median(here))
            reach = self.mads * _NORMAL * float(np.median(np.abs(here - middle)))
            return {"low": middle - reach, "high": middle + reach} if reach > 0 else {}
        low, high = np.quantile(here, self.quantiles)
        return {"low": float(low), "high": float(high)}
