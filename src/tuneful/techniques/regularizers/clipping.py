"""Gradient clipping: a gradient that is too long is shortened, its direction kept.

    g *= min(1, max_norm / |g|)        |g| over all parameters together

Source: Pascanu et al., ICML 2013, arXiv:1211.5063.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.core.config import Positive
from tuneful.techniques.interfaces import Regularizer


class Clipping(Regularizer):
    """One bad batch cannot throw the weights away."""

    source: ClassVar[str] = "Pascanu et al., ICML 2013, arXiv:1211.5063"
    cost: ClassVar[str] = "two passes over the gradients a step; never waits for the device"

    kind: Literal["clipping"] = "clipping"
    max_norm: Positive = 1.0  # longest gradient, by its Euclidean norm over all parameters

    def limit_(self, params: Sequence[nn.Parameter], memory: dict[str, Tensor]) -> None:
        """Scale all gradients by one factor <= 1. A gradient that is not finite stays so: the loop sees it in the loss."""
        nn.utils.clip_grad_norm_(params, self.max_norm, error_if_nonfinite=False)
