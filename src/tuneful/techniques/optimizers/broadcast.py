"""What the rules share, so that one formula serves one model and a stack of K trials.

In a stack every setting is a tensor [K, 1, ...] with as many axes as the parameter, and so is every plain number in the state;
for one model they are floats. These functions take either.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tuneful.techniques.interfaces import Hyper


def at(value: Any, p: Tensor) -> Any:
    """A coefficient ready to meet p: a float as it is, a stack's tensor [K, 1, ...] cast to p's type.

    It is called on finished coefficients (1 - beta2, not beta2), so a stack may hold its settings in float64.
    """
    return value.to(p.dtype) if isinstance(value, Tensor) else value


def decayed(p: Tensor, g: Tensor, decay: Any) -> Tensor:
    """g + decay p, the gradient of a loss with decay/2 |p|^2 added; g itself where there is no decay."""
    if isinstance(decay, Tensor):
        return g + at(decay, p) * p
    return g if decay == 0 else torch.add(g, p, alpha=decay)


def shrink_(p: Tensor, share: Any) -> None:
    """p loses this share of itself, in place; nothing is done for a share of 0."""
    if isinstance(share, Tensor) or share != 0:
        p.mul_(at(1 - share, p))


def mean_square_(v: Tensor, g: Tensor, beta: Any) -> Tensor:
    """v = beta v + (1 - beta) g^2, in place."""
    if isinstance(beta, Tensor):
        return v.lerp_(g * g, at(1 - beta, v))
    return v.mul_(beta).addcmul_(g, g, value=1 - beta)


def add_(p: Tensor, rate: Any, u: Tensor) -> Tensor:
    """p += rate u, in place, in one pass for one model."""
    return p.add_(at(rate, p) * u) if isinstance(rate, Tensor) else p.add_(u, alpha=rate)


def add_quotient_(p: Tensor, rate: Any, u: Tensor, r: Tensor) -> Tensor:
    """p += rate u / r, in place, in one pass for one model."""
    return p.add_(at(rate, p) * u / r) if isinstance(rate, Tensor) else p.addcdiv_(u, r, value=rate)


def trials(h: Hyper) -> int:
    """How many leading axes count trials: 1 in a stack, else 0."""
    return int(isinstance(h.lr, Tensor) and h.lr.ndim > 0)


def real(t: int | Tensor) -> Any:
    """The count of steps as a number that roots and negative powers may be taken of, in float64."""
    return t.double() if isinstance(t, Tensor) else float(t)


def pick(condition: Any, yes: Any, no: Any) -> Any:
    """yes where the condition holds, else no; conditions of a stack are tensors."""
    if not isinstance(condition, Tensor):
        return yes if condition else no
    if not isinstance(yes, Tensor) and not isinstance(no, Tensor):
        yes = torch.full_like(condition, yes, dtype=torch.float64)
    return torch.where(condition, yes, no)


def larger(a: Any, b: Any) -> Any:
    """The larger of two numbers, trial by trial."""
    return pick(a > b, a, b)


def smaller(a: Any, b: Any) -> Any:
    """The smaller of two numbers, trial by trial."""
    return pick(a < b, a, b)


def root(x: Any) -> Any:
    """The square root of a number or of a stack's numbers."""
    return x.sqrt() if isinstance(x, Tensor) else math.sqrt(x)


def axes_of_one(x: Tensor, h: Hyper) -> tuple[int, ...]:
    """The axes over which one trial's tensor extends."""
    return tuple(range(trials(h), x.ndim))


def length(x: Tensor, h: Hyper) -> Tensor:
    """The Euclidean length of one trial's tensor, ready to broadcast against it."""
    axes = axes_of_one(x, h)
    return torch.linalg.vector_norm(x, dim=axes, keepdim=True) if axes else x.abs()


def mean(x: Tensor, h: Hyper) -> Tensor:
    """The mean over one trial's tensor, ready to broadcast against it."""
    axes = axes_of_one(x, h)
    return x.mean(dim=axes, keepdim=True) if axes else x


def rms(x: Tensor, h: Hyper) -> Tensor:
    """The root of the mean square of one trial's tensor."""
    count = math.prod(x.shape[axis] for axis in axes_of_one(x, h))
    return length(x, h) / max(1, count) ** 0.5


def cautious(u: Tensor, g: Tensor, h: Hyper) -> Tensor:
    """The step u where it agrees in sign with the gradient, 0 elsewhere, what is left scaled up by one over its share.

    Source: Liang et al. 2024, "Cautious optimizers", algorithm 1, arXiv:2411.16085 (the share is taken as at least 1/1000, as in
    the authors' code).
    """
    agree = (u * g > 0).to(u.dtype)
    return u * (agree / mean(agree, h).clamp(min=1e-3))
