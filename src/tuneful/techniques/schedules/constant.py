"""Constant: the rate stays what it is.

    factor = 1

Source: Robbins & Monro 1951 ask for more (a sum of squares that converges); in practice an average of the weights takes the
place of the fall: Polyak & Juditsky, SIAM J. Control Optim. 30, 1992.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.techniques.schedules.warmed import Shaped


class Constant(Shaped):
    """No fall: a run can be made longer at any time. Best beside averaging."""

    source: ClassVar[str] = "Polyak & Juditsky, SIAM J. Control Optim. 30, 1992 (with averaging)"
    cost: ClassVar[str] = "none"

    kind: Literal["constant"] = "constant"

    def shape(self, done: float) -> float:
        """1 throughout."""
        return 1.0
