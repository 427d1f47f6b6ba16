"""LAMB: Adam's direction, with the length of the weights; for very large batches.

    m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
    u = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + decay p          t = 1, 2, ...
    p -= lr |p| / |u| u                                                  |p| / |u| is 1 where either is zero

Each tensor moves by the same share lr of its length, whatever its gradients. Gradients are not clipped here (timm's LAMB clips
them to length 1 unless told otherwise; add the clipping regularizer for that).

Decay is inside the step and outside of the means: it shares the step's length lr |p|, so it is no fixed share of a weight.

Source: You et al., ICLR 2020, algorithm 2, arXiv:1904.00962 (phi the identity).  Memory: two tensors per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import at, decayed, length, mean_square_, pick
from tuneful.techniques.optimizers.rule import RuleOptimizer


class LAMB(Optimizer):
    """Keeps training stable at batches of thousands."""

    source: ClassVar[str] = "You et al., ICLR 2020, arXiv:1904.00962"
    cost: ClassVar[str] = "two tensors per parameter; about twelve passes over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("m", "v")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    stacks: ClassVar[bool] = True

    kind: Literal["lamb"] = "lamb"
    lr: Positive = 5e-3  # share of a tensor's length that a step moves it
    beta1: Fraction = 0.9  # memory of the gradient's mean
    beta2: Fraction = 0.999  # memory of its square's mean
    eps: Positive = 1e-6  # keeps the division finite
    decay: NonNegative = 0.01  # pull towards zero, added to Adam's direction

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        s["m"].lerp_(g, at(1 - h.beta1, p))
        mean_square_(s["v"], g, h.beta2)
        divisor = s["v"].sqrt().div_(at((1 - h.beta2**t) ** 0.5, p)).add_(at(h.eps, p)).mul_(at(1 - h.beta1**t, p))
        u = decayed(p, s["m"] / divisor, h.decay)
        size, step = length(p, h), length(u, h)
        trust = pick((size > 0) & (step > 0), size / step, torch.ones_like(size))
        p.sub_(at(h.lr, p) * trust * u)

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch has no LAMB."""
        return RuleOptimizer(params, self)
