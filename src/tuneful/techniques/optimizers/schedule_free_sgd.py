"""Schedule-free SGD: descent whose average needs no falling rate.

    z -= lr (g + decay y);   x += c (z - x);   y = (1 - momentum) z + momentum x          (see schedule_free.py)

It stands rates far larger than SGD's. Decay is coupled (added to the gradient at y), so a step removes about lr * decay.

Source: Defazio et al., NeurIPS 2024, arXiv:2405.15682.  Memory: one tensor and two numbers per parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import NonNegative, Positive
from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers.broadcast import decayed
from tuneful.techniques.optimizers.schedule_free import Open, ScheduleFreeOptimizer, average, averaged_


class ScheduleFreeSGD(Optimizer):
    """SGD without a schedule, for a run of any length."""

    source: ClassVar[str] = "Defazio et al., NeurIPS 2024, arXiv:2405.15682"
    cost: ClassVar[str] = "one tensor per parameter; about one pass over the weights a step"
    state: ClassVar[tuple[str, ...]] = ("z",)
    numbers: ClassVar[Mapping[str, float]] = {"weights": 0.0, "peak": 0.0}
    averages: ClassVar[bool] = True

    kind: Literal["schedule_free_sgd"] = "schedule_free_sgd"
    lr: Positive = 1.0  # step size
    momentum: Open = 0.9  # share of the average in the point of training
    decay: NonNegative = 0.0  # pull towards zero, added to the gradient

    def separable(self, h: Hyper) -> bool:
        """Each number of a parameter moves by itself."""
        return True

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """z begins where the parameter is."""
        return {"z": p.clone()}

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place; see interfaces.Optimizer for the shapes."""
        averaged_(p, decayed(p, g, h.decay), s, h.lr, h.momentum)

    def judged(self, p: Tensor, s: Mapping[str, Any], h: Hyper) -> Tensor | None:
        """The average x."""
        return average(p, s, h.momentum)

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in its shell, which has `train()` and `eval()`."""
        return ScheduleFreeOptimizer(params, self)
