"""SWA: the plain mean of the weights over the last part of the run.

    average = mean of the weights after steps t > start * steps, every `every` steps;          before: the weights themselves

The mean lies nearer the middle of a flat valley than any of the weights that walk around in it. It wants a rate that stays up
(schedule constant or cyclic). Running statistics are not averaged: the loop takes them anew with the mean's weights.

Source: Izmailov et al., UAI 2018, arXiv:1803.05407.  Memory: one copy of the network.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.core.config import Count, Fraction
from tuneful.techniques.interfaces import Regularizer
from tuneful.techniques.regularizers.averaging import move_


class SWA(Regularizer):
    """A wide minimum at the price of one copy."""

    source: ClassVar[str] = "Izmailov et al., UAI 2018, arXiv:1803.05407"
    cost: ClassVar[str] = (
        "one copy of the network; a pass over the weights every so many steps; statistics anew at validations"
    )
    stale: ClassVar[bool] = True

    kind: Literal["swa"] = "swa"
    start: Fraction = 0.75  # share of the run after which it begins
    every: Count = 1  # steps from one of the weights to the next

    def start_average(self, net: nn.Module) -> dict[str, Tensor]:
        """A copy of the network's state."""
        return {name: value.detach().clone() for name, value in net.state_dict().items()}

    def update_average_(self, average: dict[str, Tensor], net: nn.Module, t: int, steps: int) -> None:
        """Follow the network until the mean begins; then take every so manieth of its states into the mean."""
        into = t - int(self.start * steps) - 1
        if into < 0:
            move_(average, net.state_dict(), 1.0)
        elif into % self.every == 0:
            move_(average, net.state_dict(), 1.0 / (into // self.every + 1))
