"""Momentum: a heavy ball that rolls down the loss.

    g += decay p
    v = momentum v + g
    p -= lr v                    or, looking ahead (nesterov):   p -= lr (g + momentum v)

As in torch, the rate stands outside the velocity (Polyak's form has it inside; for a constant rate the two are the same),
and nothing damps g: an average (1 - momentum) g would be the same method with a rate ten times smaller.

Decay is coupled (added to the gradient), so in the long run a step removes lr * decay / (1 - momentum) of a weight.

Source: Polyak, USSR Comput. Math. and Math. Phys. 4(5), 1964; nesterov as in Sutskever et al., ICML 2013, eq. 3-4, in the
variables after the look-ahead.  Memory: one tensor per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers import fused
from tuneful.techniques.optimizers.broadcast import add_, at, decayed
from tuneful.techniques.optimizers.groups import as_groups, for_torch


class Momentum(Optimizer):
    """SGD with a memory: smooths the noise, speeds up along valleys."""

    source: ClassVar[str] = "Polyak 1964; Sutskever et al., ICML 2013"
    cost: ClassVar[str] = "one tensor per parameter; two passes over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("v",)

    kind: Literal["momentum"] = "momentum"
    lr: Positive = 0.03  # step size
    momentum: Fraction = 0.9  # share of the velocity that is kept
    nesterov: bool = False  # look ahead along the velocity
    decay: NonNegative = 0.0  # pull towards zero, added to the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        g, momentum = decayed(p, g, h.decay), at(h.momentum, p)
        s["v"].mul_(momentum).add_(g)
        add_(p, -h.lr, g + momentum * s["v"] if h.nesterov else s["v"])

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """torch's SGD with momentum, fused where all parameters allow it."""
        groups = as_groups(params, self)
        return fused.FusedSGD(
            for_torch(groups),
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov and self.momentum > 0,  # torch refuses a look-ahead over nothing; it changes nothing
            weight_decay=self.decay,
            fused=fused.fusable(groups),
        )
