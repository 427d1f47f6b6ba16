"""Adamax: Adam whose divisor is the largest recent gradient.

    g += decay p
    m = b1 m + (1 - b1) g;   u = max(b2 u, |g| + eps)
    p -= lr / (1 - b1^t) * m / u                                t = 1, 2, ...

The infinity norm needs no correction of its start, and no step is longer than lr. eps stands inside the maximum, as in torch (the
paper has none).

Decay is coupled (added to the gradient), as in Adam.

Source: Kingma & Ba, ICLR 2015, algorithm 2, arXiv:1412.6980.  Memory: two tensors per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import add_quotient_, at, decayed
from tuneful.techniques.optimizers.rule import RuleOptimizer


class Adamax(Optimizer):
    """Adam with a bound on every step; calm where gradients have outliers."""

    source: ClassVar[str] = "Kingma & Ba, ICLR 2015, arXiv:1412.6980"
    cost: ClassVar[str] = "two tensors per parameter; about one pass over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("m", "u")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)

    kind: Literal["adamax"] = "adamax"
    lr: Positive = 5e-3  # step size, and the longest step
    beta1: Fraction = 0.9  # memory of the gradient's mean
    beta2: Fraction = 0.999  # memory of the largest gradient
    eps: Positive = 1e-8  # keeps the division finite
    decay: NonNegative = 0.0  # pull towards zero, added to the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        g = decayed(p, g, h.decay)
        s["m"].lerp_(g, at(1 - h.beta1, p))
        torch.maximum(s["u"].mul_(at(h.beta2, p)), g.abs().add_(at(h.eps, p)), out=s["u"])
        add_quotient_(p, -h.lr / (1 - h.beta1**t), s["m"], s["u"])

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch's Adamax has no fused kernel."""
        return RuleOptimizer(params, self)
