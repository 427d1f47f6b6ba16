"""Noam: the inverse square root with a height that the width of the network and the warm-up set.

    factor = width^-0.5 min(s^-0.5, s w^-1.5)          s = t + 1;  w: one more than the steps of the warm-up

The peak is (width w)^-0.5, not 1: the optimizer's lr is a multiplier near 1 here, as in the paper (Adam with beta2 = 0.98).

Source: Vaswani et al., NIPS 2017, eq. 3, arXiv:1706.03762 (width 512, 4000 of 100000 steps warm up).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Count
from tuneful.techniques.schedules.stated import Span
from tuneful.techniques.schedules.warmed import Warmed


class Noam(Warmed):
    """The first Transformer's schedule; give the optimizer lr=1."""

    source: ClassVar[str] = "Vaswani et al., NIPS 2017, eq. 3, arXiv:1706.03762"
    cost: ClassVar[str] = "none"

    kind: Literal["noam"] = "noam"
    width: Count = 512  # numbers per token inside the network
    warmup: Span = 0.04  # what rises first, and the scale of the fall: a share of the run, or steps

    def factor(self, step: int, steps: int) -> float:
        """The factor, warm-up included."""
        return (self.width * (self.rising(steps) + 1)) ** -0.5 * super().factor(step, steps)

    def after(self, step: int, left: int, steps: int) -> float:
        """As the inverse square root, before its height."""
        w = steps - left + 1
        return (w / (w + step)) ** 0.5
