"""AdaBound: Adam's speed early, SGD's behaviour late.

Adam's per-parameter rate is clipped into a band that closes on final_lr as t = 1, 2, ... grows:

    g += decay p
    m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
    rate = lr sqrt(1 - b2^t) / (1 - b1^t) / (sqrt(v) + eps)
    p -= clip(rate, final_lr (1 - 1/(gamma t + 1)), final_lr (1 + 1/(gamma t))) m

Source: Luo et al., ICLR 2019, arXiv:1902.09843.  Like the authors' code, and unlike their Algorithm 2, there is no
1/sqrt(t), and a schedule lowers final_lr together with lr.  Decay is coupled (added to the gradient).  Memory: two tensors per parameter, as Adam.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import at, decayed, mean_square_
from tuneful.techniques.optimizers.rule import RuleOptimizer


class AdaBound(Optimizer):
    """Starts like Adam, ends like SGD with momentum."""

    source: ClassVar[str] = "Luo et al., ICLR 2019, arXiv:1902.09843"
    cost: ClassVar[str] = "two tensors per parameter; about eight passes over the weights a step (not fused)"
    state: ClassVar[tuple[str, ...]] = ("m", "v")
    rates: ClassVar[tuple[str, ...]] = ("lr", "final_lr")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)

    kind: Literal["adabound"] = "adabound"
    lr: Positive = 1e-3  # step size while Adam rules
    final_lr: Positive = 0.1  # the step size SGD would use
    gamma: Positive = 1e-3  # how fast the band closes, per step
    beta1: Fraction = 0.9  # memory of m
    beta2: Fraction = 0.999  # memory of v
    eps: Positive = 1e-8  # keeps the division finite
    decay: NonNegative = 0.0  # pull towards zero, added to the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        g = decayed(p, g, h.decay)
        s["m"].lerp_(g, at(1 - h.beta1, p))
        mean_square_(s["v"], g, h.beta2)
        rate = at(h.lr * (1 - h.beta2**t) ** 0.5 / (1 - h.beta1**t), p) / s["v"].sqrt().add_(at(h.eps, p))
        low, high = h.final_lr * (1 - 1 / (h.gamma * t + 1)), h.final_lr * (1 + 1 / (h.gamma * t))
        p.addcmul_(torch.clamp(rate, at(low, p), at(high, p)), s["m"], value=-1)

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch has no AdaBound."""
        return RuleOptimizer(params, self)
