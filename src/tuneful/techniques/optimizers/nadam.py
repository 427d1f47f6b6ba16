"""NAdam: Adam that looks ahead along its mean, with a momentum that warms up.

    g += decay p
    mu_t = b1 (1 - 0.96^(psi t) / 2)
    m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2;   P = mu_1 mu_2 ... mu_t
    r = sqrt(v / (1 - b2^t)) + eps                                                      t = 1, 2, ...
    p -= lr ((1 - mu_t) / (1 - P) g + mu_{t+1} / (1 - P mu_{t+1}) m) / r

Decay is coupled (added to the gradient), as in Adam; NAdamW has it outside.

Source: Dozat, ICLR workshop 2016, algorithm 2 with the schedule of mu of its code, as in torch.  Memory: two tensors and a
number per parameter; the number is kept in double precision, unlike torch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import add_quotient_, at, decayed, mean_square_
from tuneful.techniques.optimizers.rule import RuleOptimizer


class NAdam(Optimizer):
    """Adam with Nesterov's look-ahead."""

    source: ClassVar[str] = "Dozat, ICLR workshop 2016"
    cost: ClassVar[str] = "two tensors per parameter; about one pass over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("m", "v")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    numbers: ClassVar[Mapping[str, float]] = {"product": 1.0}

    kind: Literal["nadam"] = "nadam"
    lr: Positive = 2e-3  # step size
    beta1: Fraction = 0.9  # memory of the gradient's mean
    beta2: Fraction = 0.999  # memory of its square's mean
    psi: NonNegative = 0.004  # how fast the momentum warms up
    eps: Positive = 1e-8  # keeps the division finite
    decay: NonNegative = 0.0  # pull towards zero, added to the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        g = decayed(p, g, h.decay)
        mu, after = (h.beta1 * (1 - 0.5 * 0.96 ** (h.psi * i)) for i in (t, t + 1))
        s["product"] = s["product"] * mu
        s["m"].lerp_(g, at(1 - h.beta1, p))
        mean_square_(s["v"], g, h.beta2)
        seen = (1 - h.beta2**t) ** 0.5  # divisor and dividend are both multiplied by it
        divisor = s["v"].sqrt().add_(at(h.eps * seen, p))
        add_quotient_(p, -h.lr * seen * (1 - mu) / (1 - s["product"]), g, divisor)
        add_quotient_(p, -h.lr * seen * after / (1 - s["product"] * after), s["m"], divisor)

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch's NAdam has no fused kernel."""
        return RuleOptimizer(params, self)
