"""The warm-up that goes before any shape.

    step <  w:  linear   start + (1 - start) step / w              w = warmup, in whole steps
                cosine   start + (1 - start) (1 - cos(pi step / w)) / 2
                flat     start
    step >= w:  the schedule's own shape, as if it began there

With start = "auto", which is 1 / (w + 1), a linear rise is (step + 1) / (w + 1): the first step already moves, and all parts
of the rise are equal. A shape's end would be the step after the last, so that no step is spent at a rate of nothing. A
warm-up stated in steps never takes more than half of a run.

Source: Goyal et al. 2017, section 2.2, arXiv:1706.02677 (gradual warm-up); flat: He et al., CVPR 2016, section 4.2.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal

from tuneful.core.config import Auto, Share
from tuneful.techniques.schedules.stated import Span, Stated


class Warmed(Stated):
    """Something that follows a rise."""

    warmup: Span = 0.0  # what rises first: a share of the run, or steps
    warmup_start: Share | Auto = "auto"  # factor of the first step; auto: one part of a rise in equal parts
    warmup_form: Literal["linear", "cosine", "flat"] = "linear"  # how it rises

    @abstractmethod
    def after(self, step: int, left: int, steps: int) -> float:
        """The factor for step 0, 1, ... after the warm-up, of `left` such steps in a run of `steps`; beyond the last, the
        shape's end and never a new rise."""

    def rising(self, steps: int) -> int:
        """How many steps of a run the warm-up takes."""
        rise = self.taken(self.warmup, steps, steps)
        if self.warmup >= 1 and not self.length:
            rise = min(rise, steps // 2)
        return min(round(rise), steps - 1)

    def factor(self, step: int, steps: int) -> float:
        """The warm-up, then what comes after it."""
        rise = self.rising(steps)
        if step >= rise:
            return self.after(step - rise, steps - rise, steps)
        if self.warmup_start == "auto" and self.warmup_form == "linear":
            return (step + 1) / (rise + 1)
        start = 1 / (rise + 1) if self.warmup_start == "auto" else self.warmup_start
        share = step / rise
        if self.warmup_form == "cosine":
            share = (1.0 - math.cos(math.pi * share)) / 2.0
        return start if self.warmup_form == "flat" else start + (1.0 - start) * share


class Shaped(Warmed):
    """A shape over the share of the run that is done."""

    @abstractmethod
    def shape(self, done: float) -> float:
        """The factor when the share `done`, in [0, 1], of the steps after the warm-up is over."""

    def after(self, step: int, left: int, steps: int) -> float:
        """The shape; after its end it stands still."""
        return self.shape(min(step / left, 1.0))
