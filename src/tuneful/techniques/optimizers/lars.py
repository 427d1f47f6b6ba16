"""LARS: momentum whose rate per tensor follows the ratio of weight to gradient.

    q = trust |p| / (|g| + decay |p| + eps)              1 where |p| or |g| is zero, and where nothing is decayed
    v = momentum v + q (g + decay p)
    p -= lr v

Layers differ in how long their gradients are beside their weights; q makes every tensor's step the same share of it, so that the
rate can grow with the batch. As in timm, biases and norms (whose decay is 0) take plain momentum steps.

Decay is coupled (added to the gradient, and inside q).

Source: You, Gitman & Ginsburg 2017, algorithm 1, arXiv:1708.03888; the velocity holds no rate, as in timm (the paper's does: the
same for a constant rate).  Memory: one tensor per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import add_, at, decayed, length
from tuneful.techniques.optimizers.rule import RuleOptimizer


class LARS(Optimizer):
    """Momentum for batches of thousands."""

    source: ClassVar[str] = "You et al. 2017, arXiv:1708.03888"
    cost: ClassVar[str] = "one tensor per parameter; about seven passes over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("v",)
    stacks: ClassVar[bool] = True

    kind: Literal["lars"] = "lars"
    lr: Positive = 1.0  # step size, beside the trust
    momentum: Fraction = 0.9  # share of the velocity that is kept
    trust: Positive = 1e-3  # share of a tensor's length that a step of rate 1 moves it
    eps: Positive = 1e-8  # keeps the division finite
    decay: NonNegative = 1e-4  # pull towards zero, added to the gradient

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        if isinstance(h.decay, Tensor) or h.decay > 0:
            size, steep = length(p, h), length(g, h)
            q = at(h.trust, p) * size / (steep + at(h.decay, p) * size + at(h.eps, p))
            adapts = (size > 0) & (steep > 0) & torch.as_tensor(h.decay > 0, device=p.device)
            g = decayed(p, g, h.decay) * torch.where(adapts, q, torch.ones_like(q))
        s["v"].mul_(at(h.momentum, p)).add_(g)
        add_(p, -h.lr, s["v"])

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch has no LARS."""
        return RuleOptimizer(params, self)
