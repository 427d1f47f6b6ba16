"""As built: the weights stay as the network's own constructor made them.

For a network that brings its weights (pretrained ones, say) or its own way to begin. Nothing is drawn.

Source: none needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.techniques.interfaces import Init

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class AsBuilt(Init):
    """The weights stay as the network's own constructor made them."""

    source: ClassVar[str] = "none needed"
    cost: ClassVar[str] = "nothing"

    kind: Literal["as_built"] = "as_built"

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Leaves the weight alone; the loop does not even ask."""
