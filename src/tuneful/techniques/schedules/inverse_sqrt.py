"""Inverse square root: a fall that never ends and gets ever slower.

    factor = sqrt(w / (t + 1))          t >= w - 1;  w: one more than the steps of the warm-up

With the linear rise before it this is min((t + 1) / w, sqrt(w / (t + 1))). The warm-up sets the scale, so it stretches with
the run when the warm-up does; without one the scale is a single step.

Source: Vaswani et al., NIPS 2017, section 5.3, arXiv:1706.03762, without its factor for the width.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from tuneful.techniques.schedules.stated import Span
from tuneful.techniques.schedules.warmed import Warmed


class InverseSqrt(Warmed):
    """For runs whose end is not known when they begin."""

    source: ClassVar[str] = "Vaswani et al., NIPS 2017, section 5.3, arXiv:1706.03762"
    cost: ClassVar[str] = "none"

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    warmup: Span = 0.1  # what rises first, and the scale of the fall: a share of the run, or steps

    def after(self, step: int, left: int, steps: int) -> float:
        """1 at first, then the inverse root of the steps so far; it goes on falling after the end."""
        w = steps - left + 1
        return math.sqrt(w / (w + step))
