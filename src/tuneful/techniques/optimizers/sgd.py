"""Stochastic gradient descent: a step against the gradient.

    g += decay p
    p -= lr g

Source: Robbins & Monro, Annals of Mathematical Statistics 22 (1951), 400-407.  Memory: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.fused import fusable, guard
from tuneful.techniques.optimizers.groups import as_groups, for_torch
from tuneful.techniques.optimizers.rule import at, decayed


class SGD(Optimizer):
    """Plain descent: the least memory, and the baseline of all others."""

    source: ClassVar[str] = "Robbins & Monro, Ann. Math. Stat. 22, 1951"
    cost: ClassVar[str] = "no extra memory; one pass over the weights a step"

    kind: Literal["sgd"] = "sgd"
    lr: Positive = 0.1  # step size
    decay: NonNegative = 0.0  # pull towards zero, added to the gradient

    def step_(self, p: Tensor, g: Tensor, s: Mapping[str, Tensor], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        p.sub_(at(h.lr, p) * decayed(p, g, h.decay))

    def build(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        """torch's SGD, fused where all parameters allow it."""
        groups = as_groups(params)
        return guard(torch.optim.SGD(for_torch(groups), lr=self.lr, weight_decay=self.decay, fused=fusable(groups)))
