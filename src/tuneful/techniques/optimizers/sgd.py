"""Stochastic gradient descent: a step against the gradient.

    g += decay p
    p -= lr g

Decay is coupled (added to the gradient), which here is the same as decoupled: a step removes lr * decay of a weight.

Source: Robbins & Monro, Annals of Mathematical Statistics 22 (1951), 400-407.  Memory: none.
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


class SGD(Optimizer):
    """Plain descent: the least memory, and the baseline of all others."""

    source: ClassVar[str] = "Robbins & Monro, Ann. Math. Stat. 22, 1951"
    cost: ClassVar[str] = "no extra memory; one pass over the weights a step"

    kind: Literal["sgd"] = "sgd"
    lr: Positive = 0.1  # step size
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
