"""Gaussian noise on the input.

    x' = x + std e,  e ~ N(0, 1)

Of series it is called jitter. For small std it is a penalty on the gradient of the network with respect to its input.

Source: Bishop, Neural Computation 7(1), 1995; jitter of series: Um et al., ICMI 2017, arXiv:1706.00527 (std 0.05 there).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import NonNegative
from tuneful.techniques.interfaces import Augment


class Noise(Augment):
    """Smooth functions of images and tables alike."""

    source: ClassVar[str] = "Bishop, Neural Computation 7(1), 1995"
    cost: ClassVar[str] = "one draw per number of the batch"

    kind: Literal["noise"] = "noise"
    std: NonNegative = 0.1  # deviation of the noise, where that of the data is 1

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """The noise itself, one number for each of the batch."""
        return {"noise": self.std * torch.randn(tuple(shape), generator=dice)}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Add the noise to [B, ...]; p is given back as it is."""
        return x + drawn["noise"].to(x.device, x.dtype), p
