"""Clipping by value: no number of the gradient is larger than the limit.

    g = min(max(g, -limit), limit)

Unlike clipping by norm it changes the direction.

Source: Mikolov, PhD thesis, Brno 2012, section 3.2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.core.config import Positive
from tuneful.techniques.interfaces import Regularizer


class ValueClipping(Regularizer):
    """Single wild numbers are cut; the others stay as they are."""

    source: ClassVar[str] = "Mikolov, PhD thesis, Brno 2012, section 3.2.2"
    cost: ClassVar[str] = "one pass over the gradients a step"

    kind: Literal["value_clipping"] = "value_clipping"
    max_value: Positive = 1.0  # largest number of a gradient, without its sign

    def limit_(self, params: Sequence[nn.Parameter], memory: dict[str, Tensor]) -> None:
        """Clamp every gradient. What is not a number stays so: the loop sees it in the loss."""
        nn.utils.clip_grad_value_(params, self.max_value)
