"""L2: a pull towards zero in proportion to the weight.

    loss += strength / 2 * sum w^2;        grad += strength * w

Weights of two axes or more; biases and norms are free. With SGD it is the same as the optimizer's decay; with Adam it passes
through the means, as Adam's own coupled decay does (AdamW's does not).

Source: Krogh & Hertz, NIPS 1991.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import nn

from tuneful.core.config import NonNegative
from tuneful.techniques.interfaces import Regularizer


class L2(Regularizer):
    """Small weights."""

    source: ClassVar[str] = "Krogh & Hertz, NIPS 1991"
    cost: ClassVar[str] = "one pass over the weights a step"

    kind: Literal["l2"] = "l2"
    strength: NonNegative = 1e-4  # weight of the penalty in the loss

    @torch.no_grad()
    def penalize_(self, params: Sequence[nn.Parameter]) -> None:
        """Add strength * w to the gradients of the weights."""
        for p in params:
            if p.grad is not None and p.ndim >= 2:
                p.grad.add_(p, alpha=self.strength)
