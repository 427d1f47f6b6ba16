"""LAWA: the mean of the last few snapshots of the weights.

    a snapshot is taken after every `every` of the run;          average = mean of the newest `keep` of them

It forgets for good what an exponential average keeps a little of. Running statistics are taken anew with the mean's weights.

Source: Kaddour 2022, "Stop wasting my time!", arXiv:2209.14981; Sanyal et al. 2023, arXiv:2306.03241.
Memory: one copy of the network a snapshot.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tuneful.core.config import Count
from tuneful.techniques.interfaces import Regularizer


class LAWA(Regularizer):
    """Most of what a falling rate gives, from a run whose rate has not fallen."""

    source: ClassVar[str] = "Kaddour 2022, arXiv:2209.14981"
    cost: ClassVar[str] = "`keep` copies of the network; statistics anew at validations"
    stale: ClassVar[bool] = True

    kind: Literal["lawa"] = "lawa"
    keep: Count = 5  # snapshots in the mean
    every: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.02  # share of the run between two

    def start_average(self, net: nn.Module) -> dict[str, Tensor]:
        """A ring of states."""
        state = net.state_dict()
        return {f"{place}/{name}": value.detach().clone() for place in range(self.keep) for name, value in state.items()}

    @torch.no_grad()
    def update_average_(self, average: dict[str, Tensor], net: nn.Module, t: int, steps: int) -> None:
        """Put a snapshot in the place of the oldest."""
        distance = max(1, round(self.every * steps))
        if t % distance == 0:
            place = (t // distance - 1) % self.keep
            for name, value in net.state_dict().items():
                average[f"{place}/{name}"].copy_(value)

    @torch.no_grad()
    def readings(self, average: dict[str, Tensor], net: nn.Module, t: int, steps: int) -> dict[str, dict[str, Tensor]]:
        """The mean of the snapshots there are; before the first the network's own state. What does not float is the newest's."""
        state = net.state_dict()
        taken = t // max(1, round(self.every * steps))
        if taken == 0:
            return {"the weights": state}
        places, newest = range(min(taken, self.keep)), (taken - 1) % self.keep
        return {
            "the mean of snapshots": {
                name: torch.stack([average[f"{place}/{name}"] for place in places]).mean(0)
                if value.is_floating_point()
                else average[f"{newest}/{name}"]
                for name, value in state.items()
            }
        }
