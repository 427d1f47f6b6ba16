"""Step: the rate falls by a factor at even distances.

    factor = gamma ^ floor(done / every)

Source: the practice of He et al., CVPR 2016, section 3.4, arXiv:1512.03385 (divided by 10 when the error stands still).
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tuneful.techniques.schedules.warmed import Warmed

OpenShare = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class Step(Warmed):
    """Plateaus with sudden falls between them."""

    source: ClassVar[str] = "He et al., CVPR 2016, section 3.4, arXiv:1512.03385"
    cost: ClassVar[str] = "none"

    kind: Literal["step"] = "step"
    gamma: OpenShare = 0.1  # what a fall leaves of the rate
    every: OpenShare = 0.35  # share of the run between two falls

    def shape(self, done: float) -> float:
        """gamma to the number of falls so far; a fall that rounding would miss by a hair counts."""
        return self.gamma ** math.floor(done / self.every + 1e-9)
