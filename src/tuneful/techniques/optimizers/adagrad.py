"""Adagrad: the more a weight has been pushed, the smaller its steps.

    g += decay p
    v += g^2                                              v begins at `initial`
    p -= lr / (1 + (t - 1) lr_decay) * g / (sqrt(v) + eps)

v only grows, so the steps of a weight shrink like 1/sqrt(t): right for convex losses and for rare features (an embedding's row
that is seen seldom keeps its large steps), too fast for deep networks, which RMSprop and Adam mend by forgetting.

Decay is coupled (added to the gradient), so it is divided by sqrt(v) too: a weight with large gradients is decayed less.

Source: Duchi, Hazan & Singer, JMLR 12 (2011), 2121-2159, figure 1 (diagonal).  Memory: one tensor per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers import fused
from tuneful.techniques.optimizers.broadcast import add_quotient_, at, decayed
from tuneful.techniques.optimizers.groups import as_groups, for_torch


class Adagrad(Optimizer):
    """For sparse features and convex losses: a rate per weight that falls with what it has seen."""

    source: ClassVar[str] = "Duchi et al., JMLR 12, 2011"
    cost: ClassVar[str] = "one tensor per parameter; about two passes over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("v",)
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)

    kind: Literal["adagrad"] = "adagrad"
    lr: Positive = 0.03  # step size
    lr_decay: NonNegative = 0.0  # the rate falls as 1 / (1 + lr_decay (t - 1)) besides
    initial: NonNegative = 0.0  # where the sum of squares begins; > 0 softens the first steps
    eps: Positive = 1e-10  # keeps the division finite
    decay: NonNegative = 0.0  # pull towards zero, added to the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """The sum of squares, at its first value."""
        return {"v": torch.zeros_like(p, memory_format=torch.preserve_format).add_(at(h.initial, p))}

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        g = decayed(p, g, h.decay)
        s["v"].addcmul_(g, g)
        add_quotient_(p, -h.lr / (1 + (t - 1) * h.lr_decay), g, s["v"].sqrt().add_(at(h.eps, p)))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """torch's Adagrad, fused where all parameters allow it (on the CPU alone: it has no other such kernel)."""
        groups = as_groups(params, self)
        return fused.FusedAdagrad(
            for_torch(groups),
            lr=self.lr,
            lr_decay=self.lr_decay,
            initial_accumulator_value=self.initial,
            eps=self.eps,
            weight_decay=self.decay,
            fused=fused.fusable(groups, devices=("cpu",)),
        )
