"""Adadelta: steps measured in the units of the weight, by two running means of squares.

    g += decay p
    v = rho v + (1 - rho) g^2
    d = sqrt(u + eps) / sqrt(v + eps) g
    u = rho u + (1 - rho) d^2
    p -= lr d

u is the mean square of past steps: a step is as long as steps were, in proportion to how far g stands out. Nothing needs a rate
(lr = 1 is the paper's method), but eps sets how fast the first steps grow from almost nothing.

Decay is coupled (added to the gradient), so it is scaled with it.

Source: Zeiler 2012, algorithm 1, arXiv:1212.5701.  Memory: two tensors per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import add_, at, decayed, mean_square_
from tuneful.techniques.optimizers.rule import RuleOptimizer


class Adadelta(Optimizer):
    """No rate to choose; slow to start."""

    source: ClassVar[str] = "Zeiler 2012, arXiv:1212.5701"
    cost: ClassVar[str] = "two tensors per parameter; about one pass over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("v", "u")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)

    kind: Literal["adadelta"] = "adadelta"
    lr: Positive = 1.0  # factor of every step; 1 is the paper's method
    rho: Fraction = 0.9  # memory of both means
    eps: Positive = 1e-6  # where steps begin, and what keeps the division finite
    decay: NonNegative = 0.0  # pull towards zero, added to the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        g, eps = decayed(p, g, h.decay), at(h.eps, p)
        mean_square_(s["v"], g, h.rho)
        d = (s["u"] + eps).div_(s["v"] + eps).sqrt_().mul_(g)
        mean_square_(s["u"], d, h.rho)
        add_(p, -h.lr, d)

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch's Adadelta has no fused kernel."""
        return RuleOptimizer(params, self)
