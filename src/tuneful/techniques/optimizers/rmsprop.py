"""RMSprop: the gradient divided by the root of its recent mean square.

    g += decay p
    v = beta v + (1 - beta) g^2
    r = sqrt(v) + eps            or, centred:   m = beta m + (1 - beta) g;   r = sqrt(v - m^2) + eps
    p -= lr g / r                or, with momentum:   b = momentum b + g / r;   p -= lr b

Centred, the root is the gradient's deviation: steps grow where the gradient is steady. eps stands outside the root, as in torch
(TensorFlow 1 has it inside, which is another method where gradients are small). Nothing undoes the pull of v's zero start, so the
first steps are 1/sqrt(1 - beta) times longer than later ones; Adam corrects that.

Decay is coupled (added to the gradient), so it is divided by r too.

Source: Hinton, Srivastava & Swersky, Coursera lecture 6e, 2012 (beta = 0.9); centred: Graves 2013, eq. 38-45, arXiv:1308.0850.
Memory: one tensor per parameter; one more if centred, one more with momentum.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import add_, add_quotient_, at, decayed, mean_square_
from tuneful.techniques.optimizers.rule import RuleOptimizer


class RMSprop(Optimizer):
    """A rate per weight with a short memory; at home in recurrent networks and reinforcement learning."""

    source: ClassVar[str] = "Hinton et al., Coursera lecture 6e, 2012; Graves 2013, arXiv:1308.0850"
    cost: ClassVar[str] = "one to three tensors per parameter; about one pass over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("v", "m", "b")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    fixed: ClassVar[tuple[str, ...]] = ("centred",)

    kind: Literal["rmsprop"] = "rmsprop"
    lr: Positive = 0.01  # step size
    beta: Fraction = 0.99  # memory of the mean square
    momentum: Fraction = 0.0  # share of the velocity that is kept
    centred: bool = False  # divide by the deviation instead
    eps: Positive = 1e-8  # keeps the division finite, outside the root
    decay: NonNegative = 0.0  # pull towards zero, added to the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """Zeros: the mean square, and what centring and momentum need."""
        heavy = isinstance(h.momentum, Tensor) or h.momentum > 0
        names = ["v", *(["m"] if h.centred else []), *(["b"] if heavy else [])]
        return {name: torch.zeros_like(p, memory_format=torch.preserve_format) for name in names}

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        g = decayed(p, g, h.decay)
        square = mean_square_(s["v"], g, h.beta)
        if h.centred:
            s["m"].lerp_(g, at(1 - h.beta, p))
            square = torch.addcmul(square, s["m"], s["m"], value=-1)
        r = square.sqrt().add_(at(h.eps, p))
        if "b" in s:
            add_(p, -h.lr, s["b"].mul_(at(h.momentum, p)).addcdiv_(g, r))
        else:
            add_quotient_(p, -h.lr, g, r)

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch's RMSprop has no fused kernel."""
        return RuleOptimizer(params, self)
