"""Median rule: a trial goes on as long as its best value is no worse than the median at its length.

The percentile rule with a half. It asks little of a trial, so that it seldom stops a good one and saves less than halving does.

Source: Golovin et al., KDD 2017, section 3.2.1.  How it differs from there is said with the percentile rule.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tuneful.techniques.search.percentile import Barred


class Median(Barred):
    """A trial goes on while it is no worse than the median at its length."""

    kind: Literal["median"] = "median"
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.5  # the share of trials that goes on from a check
