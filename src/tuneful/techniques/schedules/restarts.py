"""Warm restarts: a cosine that begins anew, each time longer.

    cycle k = 0, 1, ... of length first * multiply^k;          factor = floor + (1 - floor) (1 + cos(pi x)) / 2
    x: the share of the cycle that is done;                    first: such that the last cycle ends with the run

The end of a cycle is a good place to stop, and its weights are good ones to average.

Source: Loshchilov & Hutter, ICLR 2017, section 3, arXiv:1608.03983 (SGDR).
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tuneful.core.config import Count, Share
from tuneful.techniques.schedules.warmed import Shaped


class WarmRestarts(Shaped):
    """Several runs in one, each from the weights of the one before."""

    source: ClassVar[str] = "Loshchilov & Hutter, ICLR 2017, arXiv:1608.03983"
    cost: ClassVar[str] = "none"

    kind: Literal["warm_restarts"] = "warm_restarts"
    cycles: Count = 3  # how often it falls
    multiply: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.0  # how much longer a cycle is than the one before
    floor: Share = 0.0  # what is left at the end of a cycle, as a share of the peak

    def shape(self, done: float) -> float:
        """The cosine of the cycle at hand; a restart that rounding would miss by a hair happens."""
        lengths = [self.multiply**k for k in range(self.cycles)]
        place, whole = done * sum(lengths), sum(lengths)
        for length in lengths[:-1]:
            if place < length - 1e-9 * whole:
                break
            place -= length
        else:
            length = lengths[-1]
        x = min(max(place / length, 0.0), 1.0)
        return self.floor + (1.0 - self.floor) * (1.0 + math.cos(math.pi * x)) / 2.0
