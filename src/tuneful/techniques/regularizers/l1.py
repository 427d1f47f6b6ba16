"""L1: a pull of constant strength towards zero, which small weights do not survive.

    loss += strength * sum |w|;        grad += strength * sign(w)
    proximal: nothing is added to the gradient; after the step  w = sign(w) max(|w| - lr strength, 0)

Weights of two axes or more; biases and norms are free. By the gradient, weights swing around zero rather than rest on it; the
proximal step sets them to zero. Beside a rule that scales its gradients (Adam) the two are different penalties: the proximal
pull is as strong for all weights.

Source: Tibshirani, J. R. Stat. Soc. B 58, 1996; the proximal step: Daubechies et al., Comm. Pure Appl. Math. 57, 2004.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import NonNegative
from tuneful.techniques.interfaces import Regularizer


class L1(Regularizer):
    """Few large weights rather than many small ones."""

    source: ClassVar[str] = "Tibshirani, J. R. Stat. Soc. B 58, 1996"
    cost: ClassVar[str] = "two passes over the weights a step, and one temporary copy of a weight"

    kind: Literal["l1"] = "l1"
    strength: NonNegative = 1e-5  # weight of the penalty in the loss
    proximal: bool = False  # after the step, with weights that become exactly zero

    @torch.no_grad()
    def penalize_(self, params: Sequence[nn.Parameter]) -> None:
        """Add strength * sign(w) to the gradients of the weights."""
        for p in params:
            if p.grad is not None and p.ndim >= 2 and not self.proximal:
                p.grad.add_(p.sign(), alpha=self.strength)

    @torch.no_grad()
    def settle_(self, params: Sequence[nn.Parameter], lr: float) -> None:
        """The proximal step."""
        for p in params:
            if p.ndim >= 2 and self.proximal:
                soft_(p, lr * self.strength)


def soft_(w: Tensor, by: float) -> None:
    """Bring every number nearer to zero by so much, and no further than zero, in place."""
    w.copy_(w.sign() * (w.abs() - by).clamp(min=0.0))
