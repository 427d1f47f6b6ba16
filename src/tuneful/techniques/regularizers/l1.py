"""L1: a pull of constant strength towards zero, which small weights do not survive.

    loss += strength * sum |w|;        grad += strength * sign(w)

Weights of two axes or more; biases and norms are free. The sign of 0 is 0: weights swing around zero rather than rest on it
(a proximal step would set them to zero).

Source: Tibshirani, J. R. Stat. Soc. B 58, 1996.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import nn

from tuneful.core.config import NonNegative
from tuneful.techniques.interfaces import Regularizer


class L1(Regularizer):
    """Few large weights rather than many small ones."""

    source: ClassVar[str] = "Tibshirani, J. R. Stat. Soc. B 58, 1996"
    cost: ClassVar[str] = "two passes over the weights a step, and one temporary copy of a weight"

    kind: Literal["l1"] = "l1"
    strength: NonNegative = 1e-5  # weight of the penalty in the loss

    @torch.no_grad()
    def penalize_(self, params: Sequence[nn.Parameter]) -> None:
        """Add strength * sign(w) to the gradients of the weights."""
        for p in params:
            if p.grad is not None and p.ndim >= 2:
                p.grad.add_(p.sign(), alpha=self.strength)
