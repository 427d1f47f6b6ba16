"""Lion: steps of one length everywhere, by the sign of a mean.

    p -= lr decay p
    p -= lr sign(b1 m + (1 - b1) g)
    m = b2 m + (1 - b2) g

Found by a search over programs. Every weight moves by lr a step, so lr is 3 to 10 times smaller than the best for AdamW and decay as
much larger, to keep lr * decay; 1e-4, the authors' rate for long trainings of large networks, leaves short ones unfinished. It
likes large batches: the sign of a noisy gradient is noise.

Decay is decoupled: a step removes lr * decay of a weight.

Source: Chen et al., NeurIPS 2023, algorithm 2, arXiv:2302.06675.  Memory: one tensor per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import add_, at, cautious, shrink_
from tuneful.techniques.optimizers.rule import RuleOptimizer


class Lion(Optimizer):
    """Half of Adam's memory, steps of one length; for large batches."""

    source: ClassVar[str] = "Chen et al., NeurIPS 2023, arXiv:2302.06675"
    cost: ClassVar[str] = "one tensor per parameter; about one pass over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("m",)
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    stacks: ClassVar[bool] = True
    fixed: ClassVar[tuple[str, ...]] = ("cautious",)

    kind: Literal["lion"] = "lion"
    lr: Positive = 1e-3  # the length of every weight's step
    beta1: Fraction = 0.9  # share of the mean in the step
    beta2: Fraction = 0.99  # memory of the mean
    decay: NonNegative = 0.1  # share of a weight lost per step, times lr
    cautious: bool = False  # leave out what points against the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself, unless the cautious mask counts its neighbours."""
        return not h.cautious

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        shrink_(p, h.lr * h.decay)
        step = torch.lerp(s["m"], g, at(1 - h.beta1, p)).sign_()
        add_(p, -h.lr, cautious(step, g, h) if h.cautious else step)
        s["m"].lerp_(g, at(1 - h.beta2, p))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch has no Lion."""
        return RuleOptimizer(params, self)
