"""Gradient descent: the gradient of the whole training split, and a step against it.

    g += decay p
    p -= lr g

The formula is SGD's; the batch is not. One step sees every example, so there is no noise and there are as few steps as epochs:
`optimizer=gd` makes the whole split one batch (what `batch_size=auto` then chooses; a smaller one is refused, since that method is
called sgd). In a loop of your own, give it the whole split. On a convex loss with curvature at most L any lr < 2/L converges, and
1/L is best in the worst case.

Decay is coupled (added to the gradient), so a step removes lr * decay of a weight.

Source: Cauchy, Comptes rendus 25 (1847), 536-538; rates: Nesterov, Lectures on Convex Optimization, 2018, section 2.1.5.
Memory: none.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers import fused
from tuneful.techniques.optimizers.broadcast import add_, decayed
from tuneful.techniques.optimizers.groups import as_groups, for_torch


class GD(Optimizer):
    """Exact descent on the whole training split: no noise, few and dear steps."""

    source: ClassVar[str] = "Cauchy, Comptes rendus 25, 1847"
    cost: ClassVar[str] = "no extra memory; one pass over the weights a step, and over all of train"
    whole: ClassVar[bool] = True

    kind: Literal["gd"] = "gd"
    lr: Positive = 0.5  # step size
    decay: NonNegative = 0.0  # pull towards zero, added to the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        add_(p, -h.lr, decayed(p, g, h.decay))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """torch's SGD, fused where all parameters allow it."""
        groups = as_groups(params, self)
        return fused.FusedSGD(for_torch(groups), lr=self.lr, weight_decay=self.decay, fused=fused.fusable(groups))
