"""AMSBound: AdaBound whose divisor never falls.

    g += decay p
    m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2;   w = max(w, v)
    rate = lr sqrt(1 - b2^t) / (1 - b1^t) / (sqrt(w) + eps)
    p -= clip(rate, final_lr (1 - 1/(gamma t + 1)), final_lr (1 + 1/(gamma t))) m          t = 1, 2, ...

Decay is coupled (added to the gradient), as in AdaBound.

Source: Luo et al., ICLR 2019, algorithm 3, arXiv:1902.09843, with the corrections of the authors' code (see adabound.py).
Memory: three tensors per parameter.
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


class AMSBound(Optimizer):
    """Starts like AMSGrad, ends like SGD with momentum."""

    source: ClassVar[str] = "Luo et al., ICLR 2019, arXiv:1902.09843"
    cost: ClassVar[str] = "three tensors per parameter; about two passes over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("m", "v", "w")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    rates: ClassVar[tuple[str, ...]] = ("lr", "final_lr")

    kind: Literal["amsbound"] = "amsbound"
    lr: Positive = 1e-3  # step size while AMSGrad rules
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
        torch.maximum(s["w"], s["v"], out=s["w"])
        rate = at(h.lr * (1 - h.beta2**t) ** 0.5 / (1 - h.beta1**t), p) / s["w"].sqrt().add_(at(h.eps, p))
        low, high = h.final_lr * (1 - 1 / (h.gamma * t + 1)), h.final_lr * (1 + 1 / (h.gamma * t))
        p.addcmul_(torch.clamp(rate, at(low, p), at(high, p)), s["m"], value=-1)

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch has no AMSBound."""
        return RuleOptimizer(params, self)
