"""Averaging: a slow copy of the weights that follows the fast ones; it is what is judged and shipped.

    average += (1 - d) (weights - average),        d = min(decay, (1 + t) / (10 + t)),  t = 1, 2, ...

The warm start of d lets the copy forget the random beginning. Floating buffers (the running statistics of batch norm) are
averaged in the same way, counters are copied.

Source: Polyak & Juditsky 1992; the exponential form and its warm start as in TensorFlow's ExponentialMovingAverage.
Memory: one copy of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Fraction
from tuneful.techniques.interfaces import Regularizer
from tuneful.techniques.shards import local


class Averaging(Regularizer):
    """Most of what a falling rate gives, at any time of the run."""

    source: ClassVar[str] = "Polyak & Juditsky, SIAM J. Control Optim. 30, 1992"
    cost: ClassVar[str] = "one copy of the network; one pass over the weights a step"

    kind: Literal["averaging"] = "averaging"
    decay: Fraction = 0.999  # memory of the average, per step

    def start_average(self, net: nn.Module) -> dict[str, Tensor]:
        """A copy of the network's state."""
        return {name: value.detach().clone() for name, value in net.state_dict().items()}

    def update_average_(self, average: dict[str, Tensor], net: nn.Module, t: int, steps: int) -> None:
        """Move the average towards the network; t counts the optimizer's steps from 1. All floating tensors in one call."""
        move_(average, net.state_dict(), self.share(t))

    def share(self, t: int) -> float:
        """What step t moves the average by, as a share of the way to the network."""
        return 1.0 - min(self.decay, (1.0 + t) / (10.0 + t))


@torch.no_grad()
def move_(average: Mapping[str, Tensor], state: Mapping[str, Tensor], share: float) -> None:
    """Move an average towards a state by a share of the way, buffers too; what does not float is copied."""
    old: list[Tensor] = []
    new: list[Tensor] = []
    moved: set[int] = set()  # a weight of two names (tied) is moved once
    for name, value in state.items():
        if value.is_floating_point():
            mine = local(average[name])
            if value.numel() and mine.data_ptr() in moved:
                continue
            moved.add(mine.data_ptr())
            old.append(mine)
            new.append(local(value))
        else:
            average[name].copy_(value)
    if old:
        torch._foreach_lerp_(old, new, share)  # pyright: ignore[reportPrivateImportUsage]
