"""Cyclic: up and down in straight lines, again and again.

    factor = floor + (1 - floor) h a          h: 0 -> 1 -> 0 over each cycle, rising for the share `rise` of it
    a = 1 (triangular), 2^-k in cycle k = 0, 1, ... (halving), end^done (decaying)

Source: Smith, WACV 2017, arXiv:1506.01186; its policies triangular, triangular2 and exp_range.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tuneful.core.config import Share
from tuneful.techniques.schedules.stated import OpenShare, Span
from tuneful.techniques.schedules.warmed import Warmed


class Cyclic(Warmed):
    """No single rate has to be right: a range of them is swept."""

    source: ClassVar[str] = "Smith, WACV 2017, arXiv:1506.01186"
    cost: ClassVar[str] = "none"

    kind: Literal["cyclic"] = "cyclic"
    cycle: Annotated[Span, Field(gt=0)] = 0.25  # from low to low: a share of what follows the warm-up, or steps
    rise: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5  # share of a cycle that rises
    floor: Share = 0.1  # the low end, as a share of the peak
    form: Literal["triangular", "halving", "decaying"] = "triangular"  # how high later cycles are
    end: OpenShare = 0.1  # decaying: what is left of the height at the end

    def after(self, step: int, left: int, steps: int) -> float:
        """The factor; cycles go on after the end only where they are stated in steps that stay."""
        step = step if self.cycle >= 1 and not self.length else min(step, left)
        place = step / self.taken(self.cycle, left, steps)
        cycle = math.floor(place + 1e-9)
        x = max(place - cycle, 0.0)
        height = x / self.rise if x <= self.rise else (1.0 - x) / (1.0 - self.rise)
        if self.form == "halving":
            height *= 0.5**cycle
        elif self.form == "decaying":
            height *= self.end ** (step / left)
        return self.floor + (1.0 - self.floor) * height
