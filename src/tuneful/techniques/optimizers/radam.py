"""RAdam: Adam that waits with its divisor until its variance is known.

    g += decay p
    m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
    R = 2 / (1 - b2) - 1;   r_t = R - 2 t b2^t / (1 - b2^t)          the length of v's memory, in steps; t = 1, 2, ...
    if r_t > 5:   q = sqrt((r_t - 4) (r_t - 2) R / ((R - 4) (R - 2) r_t))
                  p -= lr q m / (1 - b1^t) / ((sqrt(v) + eps) / sqrt(1 - b2^t))
    else:         p -= lr m / (1 - b1^t)

A built-in warm-up: with b2 = 0.999 the first five steps are plain momentum, then q rises from near 0 to 1. The test is r_t > 5,
as in torch and the authors' code (the paper has 4), and eps is added before the correction, as in torch.

Decay is coupled (added to the gradient), as in Adam.

Source: Liu et al., ICLR 2020, algorithm 2, arXiv:1908.03265.  Memory: two tensors per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import add_, add_quotient_, at, decayed, larger, mean_square_, pick, root
from tuneful.techniques.optimizers.rule import RuleOptimizer


class RAdam(Optimizer):
    """Adam with the warm-up built in."""

    source: ClassVar[str] = "Liu et al., ICLR 2020, arXiv:1908.03265"
    cost: ClassVar[str] = "two tensors per parameter; about one pass over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("m", "v")

    kind: Literal["radam"] = "radam"
    lr: Positive = 1e-2  # step size
    beta1: Fraction = 0.9  # memory of the gradient's mean
    beta2: Fraction = 0.999  # memory of its square's mean
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
        rate, seen = h.lr / (1 - h.beta1**t), 1 - h.beta2**t
        long = 2 / (1 - h.beta2) - 1
        now = long - 2 * t * h.beta2**t / seen
        known = now > 5
        safe = pick(known, now, 6.0)  # what is not used must not be the root of a negative number
        rectified = root(larger((safe - 4) * (safe - 2) * long / ((long - 4) * (long - 2) * safe), 0.0))
        if isinstance(known, Tensor) or known:
            divisor = s["v"].sqrt().add_(at(h.eps, p))
            add_quotient_(
                p, -rate * pick(known, rectified * seen**0.5, 1.0), s["m"], pick(known, divisor, torch.ones_like(p))
            )
        else:
            add_(p, -rate, s["m"])

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch's RAdam has no fused kernel."""
        return RuleOptimizer(params, self)
