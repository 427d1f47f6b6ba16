"""Normal: one deviation for every layer, whatever its width.

    w ~ N(0, (gain std)^2),  gain = 1

Source: Krizhevsky et al., NIPS 2012, section 5 (std 0.01); 0.02 is the habit of transformers (Radford et al. 2018).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Positive
from tuneful.techniques.interfaces import Init


class Normal(Init):
    """The simplest; deep networks without norms fade or explode with it."""

    source: ClassVar[str] = "Krizhevsky et al., NIPS 2012"
    cost: ClassVar[str] = "one draw per weight, once"

    kind: Literal["normal"] = "normal"
    std: Positive = 0.02  # deviation of every weight

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Normal with deviation gain * std; the fans do not matter."""
        weight.normal_(0.0, gain * self.std, generator=dice)
