"""Step: the rate falls by a factor at even distances.

    factor = gamma ^ floor(t / every)          t: steps after the warm-up

Source: the practice of He et al., CVPR 2016, section 3.4, arXiv:1512.03385 (divided by 10 when the error stands still).
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tuneful.techniques.schedules.stated import OpenShare, Span
from tuneful.techniques.schedules.warmed import Warmed


class Step(Warmed):
    """Plateaus with sudden falls between them."""

    source: ClassVar[str] = "He et al., CVPR 2016, section 3.4, arXiv:1512.03385"
    cost: ClassVar[str] = "none"

    kind: Literal["step"] = "step"
    gamma: OpenShare = 0.1  # what a fall leaves of the rate
    every: Annotated[Span, Field(gt=0)] = 0.35  # between two falls: a share of what follows the warm-up, or steps

    def after(self, step: int, left: int, steps: int) -> float:
        """gamma to the number of falls so far; a fall that rounding would miss by a hair counts."""
        return self.gamma ** math.floor(min(step, left) / self.taken(self.every, left, steps) + 1e-9)
