"""Nesterov: momentum whose gradient is taken where the velocity is about to lead.

    g += decay p
    v = momentum v + g
    p -= lr (g + momentum v)

p is the point after the look-ahead, as in torch, so the gradient is taken where p stands and nothing is computed twice. On a
smooth convex loss with the whole split as a batch it needs the square root of plain descent's steps; with noisy gradients it is
momentum with a little damping.

Decay is coupled (added to the gradient), so in the long run a step removes lr * decay / (1 - momentum) of a weight.

Source: Nesterov, Soviet Math. Doklady 27 (1983), 372-376; in this form Sutskever et al., ICML 2013, eq. 3-4.
Memory: one tensor per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import add_, at, decayed
from tuneful.techniques.optimizers.momentum import Momentum


class Nesterov(Optimizer):
    """Momentum that looks ahead: faster on smooth losses, calmer at high momentum."""

    source: ClassVar[str] = "Nesterov 1983; Sutskever et al., ICML 2013"
    cost: ClassVar[str] = "one tensor per parameter; two passes over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("v",)

    kind: Literal["nesterov"] = "nesterov"
    lr: Positive = 0.03  # step size
    momentum: Fraction = 0.9  # share of the velocity that is kept
    decay: NonNegative = 0.0  # pull towards zero, added to the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        g, momentum = decayed(p, g, h.decay), at(h.momentum, p)
        s["v"].mul_(momentum).add_(g)
        add_(p, -h.lr, g + momentum * s["v"])

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """torch's SGD with nesterov, fused where all parameters allow it."""
        return Momentum(lr=self.lr, momentum=self.momentum, nesterov=True, decay=self.decay).build(params)
