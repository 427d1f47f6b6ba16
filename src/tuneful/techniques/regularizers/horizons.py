"""Horizons: averages of the weights with short and long memories at once; the one that does best on valid is read out.

    average_h += (1 - d_h) (weights - average_h),        d_h = min(1 - 1 / (h steps), (1 + t) / (10 + t)),  t = 1, 2, ...

h: the memory as a share of the run, so that it stretches with it. Which memory is best depends on the noise and on how the
rate falls, and is seen only when the run is over. Floating buffers are averaged as the weights are, counters are copied.

Source: Polyak & Juditsky 1992 (averaging); several memories at once: Karras et al., CVPR 2024, section 3, arXiv:2312.02696.
Memory: one copy of the network a horizon.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from tuneful.techniques.interfaces import Regularizer
from tuneful.techniques.regularizers.averaging import move_

Memories = Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False, min_length=1)]


class Horizons(Regularizer):
    """The memory of the average need not be chosen beforehand."""

    source: ClassVar[str] = "Polyak & Juditsky 1992; Karras et al., CVPR 2024, arXiv:2312.02696"
    cost: ClassVar[str] = "a copy of the network, a pass over the weights a step and a validation more for each horizon"

    kind: Literal["horizons"] = "horizons"
    memories: Memories = (0.01, 0.05, 0.2)  # how far back the averages reach, as shares of the run

    def start_average(self, net: nn.Module) -> dict[str, Tensor]:
        """A copy of the network's state for each horizon."""
        state = net.state_dict()
        return {
            f"{place}/{name}": value.detach().clone() for place in range(len(self.memories)) for name, value in state.items()
        }

    def update_average_(self, average: dict[str, Tensor], net: nn.Module, t: int, steps: int) -> None:
        """Move each average towards the network."""
        state = net.state_dict()
        for place, memory in enumerate(self.memories):
            decay = min(max(0.0, 1.0 - 1.0 / (memory * steps)), (1.0 + t) / (10.0 + t))
            move_({name: average[f"{place}/{name}"] for name in state}, state, 1.0 - decay)

    def readings(self, average: dict[str, Tensor], net: nn.Module, t: int, steps: int) -> dict[str, dict[str, Tensor]]:
        """The state of each horizon."""
        names = list(net.state_dict())
        return {
            f"the average over {memory:g} of the run": {name: average[f"{place}/{name}"] for name in names}
            for place, memory in enumerate(self.memories)
        }
