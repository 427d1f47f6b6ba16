"""Exponential: every step takes the same share of the rate.

    factor = end ^ done;          a rate that falls by gamma a step, n steps long, has end = gamma^n

Source: Robbins & Monro's decreasing gains in the form that Darken & Moody, NIPS 1990, compare with others.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.techniques.schedules.stated import OpenShare
from tuneful.techniques.schedules.warmed import Shaped


class Exponential(Shaped):
    """A straight line on a logarithmic scale."""

    source: ClassVar[str] = "Darken & Moody, NIPS 1990 (among others compared)"
    cost: ClassVar[str] = "none"

    kind: Literal["exponential"] = "exponential"
    end: OpenShare = 0.01  # what is left at the end, as a share of the peak

    def shape(self, done: float) -> float:
        """From 1 to the end by equal ratios."""
        return self.end**done
