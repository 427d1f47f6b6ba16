"""Lookahead: fast weights explore, slow weights follow every few steps.

    p: a step of the rule inside                         momentum, or AdamW
    every k steps:   slow += pace (p - slow);   p = slow

The slow weights average out what the fast ones overshoot: larger rates stay stable, and the variance falls. Decay is that of the
rule inside: coupled for momentum, decoupled (lr * decay) for AdamW.

Source: Zhang et al., NeurIPS 2019, algorithm 1, arXiv:1907.08610.  Memory: one tensor per parameter more than the rule inside.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Count, Fraction, NonNegative, Positive, Share
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import at, pick
from tuneful.techniques.optimizers.inner import Inner, inner_begin, inner_step_
from tuneful.techniques.optimizers.rule import RuleOptimizer


class Lookahead(Optimizer):
    """Steadies another rule at the cost of one tensor."""

    source: ClassVar[str] = "Zhang et al., NeurIPS 2019, arXiv:1907.08610"
    cost: ClassVar[str] = "one tensor per parameter beside the rule inside"
    state: ClassVar[tuple[str, ...]] = ("slow", "m", "v")
    fixed: ClassVar[tuple[str, ...]] = ("inner", "every")

    kind: Literal["lookahead"] = "lookahead"
    lr: Positive = 0.03  # step size of the fast weights
    inner: Inner = "momentum"  # the rule of the fast weights
    momentum: Fraction = 0.9  # of the rule inside (AdamW: its beta1)
    every: Count = 5  # fast steps between two slow ones
    pace: Share = 0.5  # share of the way to the fast weights that a slow step goes
    decay: NonNegative = 0.0  # pull towards zero, as the rule inside has it

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """The slow weights, where the parameter is, and the state of the rule inside."""
        return {"slow": p.clone(), **inner_begin(h.inner, p)}

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        inner_step_(h.inner, p, g, s, t, h)
        due = t % h.every == 0
        if isinstance(due, Tensor) or due:
            slow = torch.lerp(s["slow"], p, at(h.pace, p))
            s["slow"].copy_(pick(due, slow, s["slow"]))
            p.copy_(pick(due, slow, p))

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell: torch has no Lookahead."""
        return RuleOptimizer(params, self)
