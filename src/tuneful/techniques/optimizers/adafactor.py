"""Adafactor: Adam's divisor from the means of rows and columns, in a fraction of the memory.

    p -= lr decay p
    k = t^-0.8                                                           t = 1, 2, ...
    r += k (mean of g^2 along rows - r);   c += k (mean of g^2 along columns - c)
    v = r c / mean(r)                        tensors of one axis keep v itself
    u = g / sqrt(max(v, eps1^2))
    p -= max(eps2, rms(p)) min(lr, 1/sqrt(t)) u / max(1, rms(u) / d)

A matrix [m, n] costs m + n numbers instead of 2 m n. There is no momentum, steps are in units of the weight's own size, and none
is longer than d. As in torch the last two axes are factored (batches of matrices for a convolution), and eps1 is the rounding unit
of the parameter's type.

Decay is decoupled: a step removes lr * decay of a weight, and lr is not capped there.

Source: Shazeer & Stern, ICML 2018, algorithm 4, arXiv:1804.04235, with the additions of torch.  Memory: a tensor of rows and one of
columns per matrix, one tensor per vector.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import at, real, rms, shrink_, smaller, trials
from tuneful.techniques.optimizers.rule import RuleOptimizer


class Adafactor(Optimizer):
    """Adam's divisor almost for free in memory."""

    source: ClassVar[str] = "Shazeer & Stern, ICML 2018, arXiv:1804.04235"
    cost: ClassVar[str] = "rows + columns numbers per matrix; about ten passes over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("rows", "columns", "v")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    stacks: ClassVar[bool] = True

    kind: Literal["adafactor"] = "adafactor"
    lr: Positive = 0.01  # cap of the rate, which is relative to the weight's size
    forgetting: Positive = 0.8  # the mean of squares takes in t^-forgetting of the newest
    least: NonNegative = 1e-3  # a weight counts as at least so large
    clip: Positive = 1.0  # root mean square of the longest step
    decay: NonNegative = 0.0  # share of a weight lost per step, times lr

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """Zeros: means of rows [..., m, 1] and columns [..., 1, n], or of every number."""
        if p.ndim - trials(h) < 2:
            return {"v": torch.zeros_like(p)}
        return {"rows": p.new_zeros((*p.shape[:-1], 1)), "columns": p.new_zeros((*p.shape[:-2], 1, p.shape[-1]))}

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        eps = torch.finfo(p.dtype).eps
        new = at(real(t) ** -h.forgetting, p)
        rate = rms(p, h).clamp(min=at(h.least, p)) * at(smaller(h.lr, real(t) ** -0.5), p)
        shrink_(p, h.lr * h.decay)
        u = g * g  # the one temporary of the parameter's size: it becomes the mean of squares, and then the move
        if "v" in s:
            u.copy_(s["v"].lerp_(u, new))
        else:
            rows = s["rows"].lerp_(u.mean(-1, keepdim=True), new)
            columns = s["columns"].lerp_(u.mean(-2, keepdim=True), new)
            torch.mul(rows / rows.mean(-2, keepdim=True).clamp(min=eps), columns, out=u)
        u.clamp_(min=eps * eps).rsqrt_().mul_(g)
        p.sub_(u.mul_(rate / (rms(u, h) / at(h.clip, p)).clamp(min=1.0)))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch's Adafactor has no fused kernel."""
        return RuleOptimizer(params, self)
