"""Prodigy: Adam that finds its own rate from how far the weights have come.

    r = lr d                                                                       d: one number for all parameters
    a = b3 a + r d / d0 * sum <g, p0 - p>;   s = b3 s + r d / d0 * g               b3 = sqrt(b2), p0: where p began
    m = b1 m + (1 - b1) d g;                 v = b2 v + (1 - b2) (d g)^2
    d = max(d, growth * a / sum |s|_1), from the next step on in r and at once in the divisor
    p -= r decay p
    p -= r m / (sqrt(v) + d eps)

a / |s| is a lower bound of the distance to the solution, and d follows it upwards; lr stays 1 and carries the schedule's factor
only. Best with a schedule that falls to zero. All groups share d, so they may not differ in lr.

Decay is decoupled: a step removes lr * d * decay of a weight.

Source: Mishchenko & Defazio, ICML 2024, algorithm 4, arXiv:2306.06101, with the d / d0 of the authors' code.
Memory: four tensors per parameter, and three numbers in all (kept in the state of the first parameter).
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import at, shrink_
from tuneful.techniques.optimizers.rule import RuleOptimizer


class Prodigy(Optimizer):
    """No rate to choose: it is estimated while training."""

    source: ClassVar[str] = "Mishchenko & Defazio, ICML 2024, arXiv:2306.06101"
    cost: ClassVar[str] = "four tensors per parameter; about fifteen passes over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("m", "v", "s", "p0")
    scale_free: ClassVar[tuple[str, ...]] = ("lr",)
    unrated: ClassVar[str] = "it finds one rate for all parameters"
    stackable: ClassVar[str] = "its rate is a sum over all parameters, which a rule for one at a time cannot see"

    kind: Literal["prodigy"] = "prodigy"
    lr: Positive = 1.0  # factor of the rate that it finds
    beta1: Fraction = 0.9  # memory of the gradient's mean
    beta2: Fraction = 0.999  # memory of its square's mean; its root is the memory of the estimate
    d0: Positive = 1e-6  # the rate that it begins with; too small costs a few steps, too large may diverge
    growth: Positive = 1.0  # factor of the estimate: the one to turn when the rate comes out wrong
    eps: Positive = 1e-8  # keeps the division finite
    decay: NonNegative = 0.0  # share of a weight lost per step, times lr d

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """Zeros, and where the parameter begins."""
        return {name: torch.zeros_like(p) for name in ("m", "v", "s")} | {"p0": p.clone()}

    def survey_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], d: float, h: Hyper) -> Tensor:
        """The means take in the gradient; gives what this parameter adds to the two sums, [2] in float64."""
        b3, rate = h.beta2**0.5, min(h.lr * d * d / h.d0, torch.finfo(g.dtype).max)  # what runs away ends as inf
        s["m"].lerp_(d * g, 1 - h.beta1)
        s["v"].lerp_((d * d) * g * g, 1 - h.beta2)
        s["s"].mul_(b3).add_(g, alpha=rate)
        along = (g * (s["p0"] - p)).sum(dtype=torch.float64)
        return torch.stack([rate * along, s["s"].abs().sum(dtype=torch.float64)])

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """The move alone, once the means are there: h.rate and h.d are the shell's. See interfaces.Optimizer for the shapes."""
        shrink_(p, h.rate * h.decay)
        p.sub_(at(h.rate, p) * s["m"] / (s["v"].sqrt() + at(h.d * h.eps, p)))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in a shell that keeps the sums over all parameters."""
        return ProdigyOptimizer(params, self)


class ProdigyOptimizer(RuleOptimizer):
    """The shell that finds d. `optimizer.d` is the estimate that the next step begins with."""

    settings: Prodigy

    @property
    def d(self) -> float:
        """The rate, as far as it is known."""
        return float(self._shared()["d"])

    def _shared(self) -> dict[str, Any]:
        """The numbers that all parameters share, in the state of the first."""
        first = self.state[self.param_groups[0]["params"][0]]
        if "d" not in first:
            first.update({"d": self.settings.d0, "most": self.settings.d0, "sum": 0.0})
        return first

    def advance_(self) -> None:
        """Survey all parameters, renew d, then move them."""
        shared = self._shared()
        rates = {group["lr"] for group in self.param_groups if group["lr"] > 0}
        if len(rates) > 1:
            raise ModelError(
                f"Prodigy finds one rate for all parameters, and its groups have lr {' and '.join(f'{r:g}' for r in sorted(rates))}",
                "leave lr at 1 in every group; growth turns the estimate",
            )
        d = float(shared["d"])
        lots = [(h, self.moving(group, h)) for group in self.param_groups for h in [self.hyper(group)] if h.lr > 0]
        parts = [self.settings.survey_(one.p, one.g, one.state, d, h) for h, lot in lots for one in lot]
        if not parts:
            return
        added, length = torch.stack([part.cpu() for part in parts]).sum(0).tolist()
        if length == 0:  # every gradient was zero
            return
        shared["sum"] = shared["sum"] * self.settings.beta2**0.5 + added
        found = self.settings.growth * shared["sum"] / length
        shared["most"] = max(shared["most"], found)
        shared["d"] = max(d, found) if d == self.settings.d0 else shared["most"]
        for h, lot in lots:
            h.rate, h.d = d * h.lr, shared["d"]
            for one in lot:
                one.state["step"] += 1
                self.settings.step_(one.p, one.g, one.state, one.state["step"], h)
