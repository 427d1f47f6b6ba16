"""Adam: steps of equal size in every direction, by running means of the gradient and of its square.

    g += decay p
    m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
    p -= lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps)          t = 1, 2, ...

The divisions by 1 - b^t undo the pull of the zero start. Decay is coupled: it goes through the means, so a weight with large
gradients is decayed less; AdamW keeps it out.

Source: Kingma & Ba, ICLR 2015, algorithm 1, arXiv:1412.6980.  Memory: two tensors per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers import fused
from tuneful.techniques.optimizers.broadcast import add_quotient_, at, decayed, mean_square_
from tuneful.techniques.optimizers.groups import as_groups, for_torch


class Adam(Optimizer):
    """Works at once on most networks; little tuning."""

    source: ClassVar[str] = "Kingma & Ba, ICLR 2015, arXiv:1412.6980"
    cost: ClassVar[str] = "two tensors per parameter; about three passes over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("m", "v")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)

    kind: Literal["adam"] = "adam"
    lr: Positive = 1e-3  # step size
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
        seen = (1 - h.beta2**t) ** 0.5  # divisor and dividend are both multiplied by it
        add_quotient_(p, -h.lr * seen / (1 - h.beta1**t), s["m"], s["v"].sqrt().add_(at(h.eps * seen, p)))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """torch's Adam, fused where all parameters allow it."""
        groups, betas = as_groups(params, self), (self.beta1, self.beta2)
        return fused.FusedAdam(
            for_torch(groups, betas),
            lr=self.lr,
            betas=betas,
            eps=self.eps,
            weight_decay=self.decay,
            fused=fused.fusable(groups),
        )
