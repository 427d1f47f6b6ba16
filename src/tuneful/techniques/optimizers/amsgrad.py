"""AMSGrad: Adam whose divisor never falls.

    g += decay p
    m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2;   w = max(w, v)
    p -= lr / (1 - b1^t) * m / (sqrt(w / (1 - b2^t)) + eps)          t = 1, 2, ...

Adam can forget a rare large gradient and then step too far; the maximum keeps it in mind, which mends the proof of convergence.
As in torch, the maximum is over the raw v and the correction comes after it (optax takes it over the corrected one, the paper
corrects nothing; the three differ).

Decay is coupled (added to the gradient), as in Adam.

Source: Reddi, Kale & Kumar, ICLR 2018, algorithm 2, arXiv:1904.09237.  Memory: three tensors per parameter.
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


class AMSGrad(Optimizer):
    """Adam that does not forget its largest gradients."""

    source: ClassVar[str] = "Reddi et al., ICLR 2018, arXiv:1904.09237"
    cost: ClassVar[str] = "three tensors per parameter; about four passes over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("m", "v", "w")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)

    kind: Literal["amsgrad"] = "amsgrad"
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
        torch.maximum(s["w"], s["v"], out=s["w"])
        seen = (1 - h.beta2**t) ** 0.5  # divisor and dividend are both multiplied by it
        add_quotient_(p, -h.lr * seen / (1 - h.beta1**t), s["m"], s["w"].sqrt().add_(at(h.eps * seen, p)))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """torch's Adam with amsgrad, fused where all parameters allow it."""
        groups, betas = as_groups(params, self), (self.beta1, self.beta2)
        return fused.FusedAdam(
            for_torch(groups, betas),
            lr=self.lr,
            betas=betas,
            eps=self.eps,
            weight_decay=self.decay,
            amsgrad=True,
            fused=fused.fusable(groups),
        )
