"""Sharpness-aware steps: first uphill, then down by the gradient that is found there.

    e = rho g / |g|                    |g| over all parameters; adaptive: e = rho p^2 g / | |p| g |
    g' = gradient at p + e
    p: a step of the rule inside with g'                 momentum, or AdamW

Each step asks for two gradients, so it costs two. In a loop of your own give `step` a closure that clears the gradients, computes the
loss, calls backward and returns it; it is called twice. Batch norm would see the perturbed network in the second: tuneful's own
loop leaves its statistics alone then.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tuneful.core.config import Fraction, NonNegative, Positive
from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.inner import Inner, inner_begin, inner_step_
from tuneful.techniques.optimizers.rule import RuleOptimizer


class Sharp(Optimizer):
    """What SAM and ASAM share."""

    cost: ClassVar[str] = "a second gradient every step; the memory of the rule inside"
    state: ClassVar[tuple[str, ...]] = ("m", "v")
    fixed: ClassVar[tuple[str, ...]] = ("inner",)
    closure: ClassVar[bool] = True
    stackable: ClassVar[str] = "a step needs a second gradient, of all parameters moved uphill together"
    adaptive: ClassVar[bool] = False

    lr: Positive = 0.03  # step size of the rule inside
    rho: Positive = 0.05  # how far uphill
    inner: Inner = "momentum"  # the rule that steps
    momentum: Fraction = 0.9  # of the rule inside (AdamW: its beta1)
    decay: NonNegative = 0.0  # pull towards zero, as the rule inside has it

    def separable(self, h: Hyper) -> bool:
        """The step of the rule inside is."""
        return True

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """The state of the rule inside."""
        return inner_begin(h.inner, p)

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """The second half of a step, with the gradient that was found uphill. See interfaces.Optimizer for the shapes."""
        inner_step_(h.inner, p, g, s, t, h)


class SharpOptimizer(RuleOptimizer):
    """The shell that goes uphill and back."""

    settings: Sharp

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Two gradients by the closure, one step; gives the loss before it. Raises ModelError without a closure."""
        name = type(self.settings).__name__
        if closure is None:
            raise ModelError(
                f"{name} needs a second gradient in every step, and was given no closure",
                "call optimizer.step(closure); closure() clears the gradients, computes the loss, calls backward, returns it",
            )
        with torch.enable_grad():
            loss = closure()
        before = self._climb_()
        try:
            with torch.enable_grad():
                closure()
        finally:  # the weights are where they were, whatever the closure raised
            for p, old in before:
                p.copy_(old)
        self.advance_()
        return loss

    def _climb_(self) -> list[tuple[Tensor, Tensor]]:
        """Move all parameters uphill together; gives where they were."""
        lots = [(group, one) for group in self.param_groups for one in self.moving(group, self.hyper(group))]
        if not lots:
            return []
        pairs = [(_real(one.p), _real(one.g)) for _, one in lots]
        pulls = [g * p.abs() if self.settings.adaptive else g for p, g in pairs]
        first = pairs[0][0]
        lengths = torch.stack([torch.linalg.vector_norm(pull).to(first) for pull in pulls])
        length = torch.linalg.vector_norm(lengths) + 1e-12
        before = [(one.p, one.p.detach().clone()) for _, one in lots]
        for (group, _), (p, _), pull in zip(lots, pairs, pulls, strict=True):
            p.add_((pull * p.abs() if self.settings.adaptive else pull) * (group["rho"] / length).to(p))
        return before


def _real(x: Tensor) -> Tensor:
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
