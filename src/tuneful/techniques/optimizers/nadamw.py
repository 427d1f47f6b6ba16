"""NAdamW: AdamW that looks ahead along its mean; the form that won AlgoPerf's baselines.

    p -= lr decay p
    m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
    n = b1 m + (1 - b1) g                                        the mean as the next step will see it
    p -= lr / (1 - b1^t) * n / (sqrt(v / (1 - b2^t)) + eps)      t = 1, 2, ...

Unlike NAdam there is no schedule of the momentum, and n is corrected with this step's t, not the next one's (optax has the
latter). Decay is decoupled: a step removes lr * decay of a weight, whatever its gradients.

Source: Dahl et al. 2023, "Benchmarking neural network training algorithms", arXiv:2306.07179 (its baseline's code); the rule:
Choi et al. 2019, table 1, arXiv:1910.05446.  Memory: two tensors per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import add_quotient_, at, cautious, mean_square_, shrink_
from tuneful.techniques.optimizers.rule import RuleOptimizer


class NAdamW(Optimizer):
    """AdamW with Nesterov's look-ahead: often the better of the two at the same cost."""

    source: ClassVar[str] = "Dahl et al. 2023, arXiv:2306.07179; Choi et al. 2019, arXiv:1910.05446"
    cost: ClassVar[str] = "two tensors per parameter; about one pass over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("m", "v")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    stacks: ClassVar[bool] = True
    fixed: ClassVar[tuple[str, ...]] = ("cautious",)

    kind: Literal["nadamw"] = "nadamw"
    lr: Positive = 1e-3  # step size
    beta1: Fraction = 0.9  # memory of the gradient's mean
    beta2: Fraction = 0.999  # memory of its square's mean
    eps: Positive = 1e-8  # keeps the division finite
    decay: NonNegative = 0.01  # share of a weight lost per step, times lr
    cautious: bool = False  # leave out what points against the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself, unless the cautious mask counts its neighbours."""
        return not h.cautious

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        shrink_(p, h.lr * h.decay)
        s["m"].lerp_(g, at(1 - h.beta1, p))
        mean_square_(s["v"], g, h.beta2)
        n = torch.lerp(s["m"], g, at(1 - h.beta1, p))
        if h.cautious:
            n = cautious(n, g, h)
        seen = (1 - h.beta2**t) ** 0.5  # divisor and dividend are both multiplied by it
        add_quotient_(p, -h.lr * seen / (1 - h.beta1**t), n, s["v"].sqrt().add_(at(h.eps * seen, p)))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch has no NAdamW of this form."""
        return RuleOptimizer(params, self)
