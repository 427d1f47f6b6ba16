"""SOAP: Adam in the axes in which the gradient's covariance is diagonal.

    L += (1 - b2) (G G^T - L);   R += (1 - b2) (G^T G - R)           G: the gradient as a matrix [m, n]
    Q, S: the eigenvectors of L and R, refreshed every `every` steps by one power iteration and a QR
    m = b1 m + (1 - b1) G;       v = b2 v + (1 - b2) (Q^T G S)^2
    p -= lr sqrt(1 - b2^k) / (1 - b1^k) * Q ((Q^T m S) / (sqrt(v) + eps)) S^T                k = 1, 2, ...
    p -= lr decay p

The first gradient only begins L and R and moves nothing, so k is one behind the count of steps. A convolution [o, i, h, w] is the
matrix [o, i h w] (the authors' code has a basis per axis); a side longer than `largest` keeps its own axes, and vectors take Adam's
steps.

Decay is decoupled: a step removes lr * decay of a weight, after it has moved.

Source: Vyas et al., ICLR 2025, algorithm 3, arXiv:2409.11321, with the bias correction of the authors' code.
Memory: two tensors per parameter, and 2 m^2 + 2 n^2 numbers per matrix.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Count, Fraction, NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import at, pick, shrink_, trials
from tuneful.techniques.optimizers.rule import RuleOptimizer

SIDES = (("L", "Q", -2), ("R", "S", -1))  # covariance, its eigenvectors, the axis of the matrix


class SOAP(Optimizer):
    """Shampoo's curvature at Adam's ease; few steps, each dearer."""

    source: ClassVar[str] = "Vyas et al., ICLR 2025, arXiv:2409.11321"
    cost: ClassVar[str] = (
        "two tensors per parameter and four squares of a matrix's sides; six products a step, a QR every ten"
    )
    state: ClassVar[tuple[str, ...]] = ("m", "v", "L", "Q", "R", "S")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    fixed: ClassVar[tuple[str, ...]] = ("every", "largest")

    kind: Literal["soap"] = "soap"
    lr: Positive = 3e-3  # step size
    beta1: Fraction = 0.95  # memory of the gradient's mean
    beta2: Fraction = 0.95  # memory of its squares and covariances
    every: Count = 10  # steps between two refreshings of the axes
    largest: Count = 4096  # a longer side keeps its own axes
    eps: Positive = 1e-8  # keeps the division finite
    decay: NonNegative = 0.01  # share of a weight lost per step, times lr

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """Zeros: two tensors as the parameter, and for each side of a matrix its covariance and axes."""
        found = {"m": torch.zeros_like(p), "v": torch.zeros_like(p)}
        for covariance, axes, axis in SIDES if p.ndim - trials(h) >= 2 else ():
            side = _matrix(p, h).shape[axis]
            if side <= h.largest:
                for name in (covariance, axes):
                    found[name] = p.new_zeros((*p.shape[: trials(h)], side, side))
        return found

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        k = t - 1
        if isinstance(k, Tensor) or k > 0:
            moved = k > 0
            m = torch.lerp(s["m"], g, at(1 - h.beta1, p))
            turned = self._turned(g, s, h)
            v = torch.lerp(s["v"], turned * turned, at(1 - h.beta2, p))
            rate = h.lr * (1 - h.beta2**k) ** 0.5 / (1 - h.beta1**k) if not isinstance(k, Tensor) else None
            if isinstance(k, Tensor):
                rate = h.lr * pick(moved, (1 - h.beta2**k) ** 0.5 / (1 - h.beta1 ** k.clamp(min=1)), 0.0)
            step = self._turned(self._turned(m, s, h) / (v.sqrt() + at(h.eps, p)), s, h, back=True)
            s["m"].copy_(pick(moved, m, s["m"]))
            s["v"].copy_(pick(moved, v, s["v"]))
            p.copy_(pick(moved, p - at(rate, p) * step, p))
            shrink_(p, pick(moved, h.lr * h.decay, 0.0))
        self._learn_(g, s, k, h)

    def _turned(self, x: Tensor, s: MutableMapping[str, Any], h: Hyper, back: bool = False) -> Tensor:
        """x in the eigenvectors' axes, or back from them."""
        if "Q" not in s and "S" not in s:
            return x
        y = _matrix(x, h)
        if "Q" in s:
            y = (s["Q"] if back else s["Q"].mT) @ y
        if "S" in s:
            y = y @ (s["S"].mT if back else s["S"])
        return y.reshape(x.shape)

    def _learn_(self, g: Tensor, s: MutableMapping[str, Any], k: Any, h: Hyper) -> None:
        """The covariances take in the gradient; the axes follow at their time."""
        for covariance, axes, axis in SIDES:
            if covariance not in s:
                continue
            G = _matrix(g, h)
            square, new = (G @ G.mT if axis == -2 else G.mT @ G), _lone(1 - h.beta2, h)
            s[covariance].lerp_(square, at(new, g))
            first, due = _lone(k == 0, h), _lone((k > 0) & (k % h.every == 0), h)
            if bool(torch.as_tensor(first).any()):
                s[axes].copy_(pick(first, _eigenvectors(s[covariance]), s[axes]))
            if bool(torch.as_tensor(due).any()):
                Q, order = _refreshed(s[covariance], s[axes])
                v = _matrix(s["v"], h)
                index = order.unsqueeze(-1 if axis == -2 else -2)
                v = pick(due, v.take_along_dim(index, axis), v)
                s["v"].copy_(v.reshape(s["v"].shape))
                s[axes].copy_(pick(due, Q, s[axes]))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch has no SOAP."""
        return RuleOptimizer(params, self)


def _matrix(x: Tensor, h: Hyper) -> Tensor:
    return x.flatten(trials(h) + 1)


def _lone(value: Any, h: Hyper) -> Any:
    """A stack's numbers as [K, 1, 1], to meet matrices."""
    return value.reshape(-1, 1, 1) if isinstance(value, Tensor) else value


def _eigenvectors(m: Tensor) -> Tensor:
    """Of symmetric matrices, the largest eigenvalue's first."""
    return torch.linalg.eigh(m + 1e-30 * torch.eye(m.shape[-1], dtype=m.dtype, device=m.device)).eigenvectors.flip(-1)


def _refreshed(m: Tensor, Q: Tensor) -> tuple[Tensor, Tensor]:
    """Axes one power iteration nearer to the eigenvectors, and the order in which the old ones are taken."""
    power = m @ Q
    order = (Q * power).sum(-2).argsort(-1, descending=True)
    return torch.linalg.qr(power.take_along_dim(order.unsqueeze(-2), -1)).Q, order
