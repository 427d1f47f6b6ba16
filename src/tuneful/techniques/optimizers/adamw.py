"""AdamW: Adam whose decay stays out of the means.

    p -= lr decay p
    m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
    p -= lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps)          t = 1, 2, ...

Decay is decoupled: every weight shrinks by the same share a step, whatever its gradients, so decay and rate can be tuned apart. As
in torch, the share is lr * decay (the paper writes the schedule's factor times decay).

Source: Loshchilov & Hutter, ICLR 2019, algorithm 2, arXiv:1711.05101.  Memory: two tensors per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers import fused
from tuneful.techniques.optimizers.broadcast import add_quotient_, at, cautious, mean_square_, shrink_
from tuneful.techniques.optimizers.groups import as_groups, for_torch
from tuneful.techniques.optimizers.rule import RuleOptimizer


class AdamW(Optimizer):
    """The field's default: Adam's ease with a decay that regularizes as meant."""

    source: ClassVar[str] = "Loshchilov & Hutter, ICLR 2019, arXiv:1711.05101"
    cost: ClassVar[str] = "two tensors per parameter; about three passes over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("m", "v")
    fixed: ClassVar[tuple[str, ...]] = ("cautious",)
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    stacks: ClassVar[bool] = True

    kind: Literal["adamw"] = "adamw"
    lr: Positive = 1e-3  # step size
    beta1: Fraction = 0.9  # memory of the gradient's mean
    beta2: Fraction = 0.999  # memory of its square's mean
    eps: Positive = 1e-8  # keeps the division finite
    decay: NonNegative = 0.01  # share of a weight lost per step, times lr
    cautious: bool = False  # leave out what points against the gradient (then the rule steps, not torch's kernel)

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself, unless the cautious mask counts its neighbours."""
        return not h.cautious

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        shrink_(p, h.lr * h.decay)
        s["m"].lerp_(g, at(1 - h.beta1, p))
        mean_square_(s["v"], g, h.beta2)
        seen = (1 - h.beta2**t) ** 0.5  # divisor and dividend are both multiplied by it
        m = cautious(s["m"], g, h) if h.cautious else s["m"]
        add_quotient_(p, -h.lr * seen / (1 - h.beta1**t), m, s["v"].sqrt().add_(at(h.eps * seen, p)))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """torch's AdamW, fused where all parameters allow it; the rule in its shell when it is to be cautious."""
        if self.cautious:
            return RuleOptimizer(params, self)
        groups, betas = as_groups(params, self), (self.beta1, self.beta2)
        return fused.FusedAdamW(
            for_torch(groups, betas),
            lr=self.lr,
            betas=betas,
            eps=self.eps,
            weight_decay=self.decay,
            fused=fused.fusable(groups),
        )
