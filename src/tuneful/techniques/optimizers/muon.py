"""Muon: momentum whose step on a matrix is made orthogonal, so that no direction of it is left behind.

    m += (1 - b) (g - m);   u = g + b (m - g)                     (nesterov; else u = m)
    O = a X + (b' A + c A^2) X,  A = X X^T,  five times           from X = u / |u|, (a, b', c) = (3.4445, -4.7750, 2.0315)
    p -= lr decay p
    p -= lr q O                                                   q = sqrt(max(1, rows / columns))

The iteration (Newton-Schulz) drives all singular values of u towards 1, roughly (0.7 to 1.2). A convolution [o, i, h, w] is the
matrix [o, i h w]. With `match_rms`, q = 0.2 sqrt(max(rows, columns)): steps as large as AdamW's, so that its rate and decay can
be taken over.

Embeddings, the last layer, norms, biases and whatever is no matrix take AdamW's steps, with the rate adam_lr: given a network (or
its `parameter_groups`) `build` sees to it by itself. Given bare parameters it cannot know embeddings and heads; it then takes every
tensor of two axes or more for a hidden matrix. A group may say `orthogonal`: False.

Decay is decoupled: a step removes lr * decay (adam_lr * decay) of a weight.

Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; match_rms: Liu et al. 2025, section 2.2, arXiv:2502.16982.
Memory: one tensor per parameter of a matrix, two of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Count, Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer, Role
from tuneful.techniques.optimizers.adamw import AdamW
from tuneful.techniques.optimizers.broadcast import at, shrink_, trials
from tuneful.techniques.optimizers.rule import RuleOptimizer

ADAMW = AdamW()


class Muon(Optimizer):
    """The fastest in steps on hidden matrices; AdamW for the rest."""

    source: ClassVar[str] = "Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982"
    cost: ClassVar[str] = "one tensor per parameter; 15 products of a matrix's size a step"
    state: ClassVar[tuple[str, ...]] = ("m", "v")
    rates: ClassVar[tuple[str, ...]] = ("lr", "adam_lr")
    scale_free: ClassVar[tuple[str, ...]] = ("lr", "adam_lr")
    stacks: ClassVar[bool] = True
    unrated: ClassVar[str] = "its steps are orthogonal"
    fixed: ClassVar[tuple[str, ...]] = ("nesterov", "iterations", "match_rms", "bf16")

    kind: Literal["muon"] = "muon"
    lr: Positive = 0.02  # step size of matrices
    momentum: Fraction = 0.95  # memory of the gradient's mean
    nesterov: bool = True  # look ahead along it
    decay: NonNegative = 0.01  # share of a weight lost per step, times its rate
    iterations: Count = 5  # of Newton-Schulz
    match_rms: bool = False  # steps as large as AdamW's, for its rates
    bf16: bool = False  # iterate in bfloat16, as the author does: faster where the device has it, three digits
    orthogonal: bool = True  # off: AdamW's steps; for groups
    adam_lr: Positive = 1e-3  # step size of everything else
    beta1: Fraction = 0.9  # of AdamW's steps
    beta2: Fraction = 0.95  # of AdamW's steps
    eps: Positive = 1e-10  # of AdamW's steps

    def special(self, role: Role) -> Mapping[str, float | bool]:
        """AdamW for all but hidden matrices; no decay of biases and norms."""
        return {**super().special(role), **({} if role == "matrix" else {"orthogonal": False})}

    def separable(self, h: Hyper) -> bool:
        """AdamW's steps are."""
        return not h.orthogonal

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """Zeros: one mean for a matrix, AdamW's two for the rest."""
        names = ("m",) if h.orthogonal and p.ndim - trials(h) >= 2 else ("m", "v")
        return {name: torch.zeros_like(p) for name in names}

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        if "v" in s:
            own = SimpleNamespace(lr=h.adam_lr, beta1=h.beta1, beta2=h.beta2, eps=h.eps, decay=h.decay, cautious=False)
            ADAMW.step_(p, g, s, t, own)
            return
        s["m"].lerp_(g, at(1 - h.momentum, p))
        u = torch.lerp(g, s["m"], at(h.momentum, p)) if h.nesterov else s["m"]
        matrix = u.flatten(trials(h) + 1)
        rows, columns = matrix.shape[-2:]
        q = 0.2 * max(rows, columns) ** 0.5 if h.match_rms else max(1.0, rows / columns) ** 0.5
        shrink_(p, h.lr * h.decay)
        p.sub_(at(h.lr * q, p) * orthogonalized(matrix, h.iterations, h.bf16).view_as(p))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch's Muon takes matrices of two axes alone and has no AdamW beside it."""
        return RuleOptimizer(params, self)


def orthogonalized(x: Tensor, iterations: int = 5, bf16: bool = False) -> Tensor:
    """A matrix [m, n] or a stack of them [K, m, n] with singular values near 1 and the same singular vectors."""
    a, b, c = 3.4445, -4.7750, 2.0315
    y = x.bfloat16() if bf16 else x
    tall = y.shape[-2] > y.shape[-1]
    y = y.mT if tall else y
    y = y / (torch.linalg.vector_norm(y, dim=(-2, -1), keepdim=True) + 1e-7)
    plus = torch.addmm if y.ndim == 2 else torch.baddbmm
    for _ in range(iterations):
        square = y @ y.mT
        y = plus(y, plus(square, square, square, beta=b, alpha=c), y, beta=a)
    return (y.mT if tall else y).to(x.dtype).contiguous()
