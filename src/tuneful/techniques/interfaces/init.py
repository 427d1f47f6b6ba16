"""The shape of an init: it fills single weights, then may settle the network as a whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from tuneful.techniques.interfaces.technique import Technique

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from tuneful.techniques.interfaces.optimizer import Rate


class Init(Technique):
    """Fills the weights of a fresh network. `techniques.inits.apply_` walks the modules, calls `fill_` on each weight, then
    `settle_` once. Weights only have to be drawn once, so all of this happens on the CPU in float32."""

    family: ClassVar[str] = "init"
    gain: ClassVar[float] = 1.0  # of hidden layers; sqrt 2 makes up for what a rectifier removes; the last layer has 1
    joint: ClassVar[bool] = (
        False  # do the numbers of a weight depend on one another? then gates, groups, projections are drawn apart
    )

    @abstractmethod
    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Fill one weight of two or more axes in place; biases and norms are the caller's (zeros and ones)."""

    @property
    def drawer(self) -> Init:
        """Who fills the single weights, with which gain: itself, or another init that this one builds upon."""
        return self

    @property
    def looks(self) -> int:
        """How many examples of the training split `settle_` wants to see; 0 where the data have no say."""
        return 0

    @property
    def twin(self) -> Mapping[str, Any]:
        """Changes of the recipe, by dotted path, that give the network which this one is compared with ({"model.width": 64},
        say): the loop builds it without memory and hands it to `settle_` and `rates`. Empty: there is none."""
        return {}

    def settle_(self, net: nn.Module, sample: Tensor | None, twin: nn.Module | None) -> None:
        """Change what concerns more than one weight, in place, after all are filled. sample: `looks` normalized examples;
        twin: see there, on the meta device. Calling it again after another filling gives the same network again."""

    def rates(self, net: nn.Module, twin: nn.Module | None) -> dict[str, Rate]:
        """Factors of the optimizer's rates by the name of the parameter; names that are missing have factors of 1."""
        return {}
