"""Schedule-free AdamW: Adam's direction, averaged instead of scheduled.

    v = b2 v + (1 - b2) g^2;   u = g / (sqrt(v / (1 - b2^t)) + eps) + decay y          t = 1, 2, ...
    z -= lr u;   x += c (z - x);   y = (1 - b1) z + b1 x                               (see schedule_free.py)

The average takes the place of Adam's first mean. It won the self-tuning track of AlgoPerf 2024. Its rate is 1 to 10 times AdamW's.
Decay is decoupled from the divisor and taken at y: a step removes lr * decay of it.

Source: Defazio et al., NeurIPS 2024, algorithm 1, arXiv:2405.15682.  Memory: two tensors and two numbers per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import at, decayed, mean_square_
from tuneful.techniques.optimizers.schedule_free import Open, ScheduleFreeOptimizer, average, averaged_


class ScheduleFreeAdamW(Optimizer):
    """AdamW without a schedule, for a run of any length."""

    source: ClassVar[str] = "Defazio et al., NeurIPS 2024, arXiv:2405.15682"
    cost: ClassVar[str] = "two tensors per parameter; about one pass over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("z", "v")
    numbers: ClassVar[Mapping[str, float]] = {"weights": 0.0, "peak": 0.0}
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    averages: ClassVar[bool] = True

    kind: Literal["schedule_free_adamw"] = "schedule_free_adamw"
    lr: Positive = 2.5e-3  # step size
    beta1: Open = 0.9  # share of the average in the point of training
    beta2: Fraction = 0.999  # memory of the gradient's square
    eps: Positive = 1e-8  # keeps the division finite
    decay: NonNegative = 0.0  # share of a weight lost per step, times lr

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """z begins where the parameter is, the mean of squares at zero."""
        return {"z": p.clone(), "v": torch.zeros_like(p)}

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        mean_square_(s["v"], g, h.beta2)
        divisor = s["v"].sqrt().div_(at((1 - h.beta2**t) ** 0.5, p)).add_(at(h.eps, p))
        averaged_(p, decayed(p, g / divisor, h.decay), s, h.lr, h.beta1)

    def judged(self, p: Tensor, s: Mapping[str, Any], h: Hyper) -> Tensor | None:
        """The average x."""
        return average(p, s, h.beta1)

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell, which has `train()` and `eval()`."""
        return ScheduleFreeOptimizer(params, self)
