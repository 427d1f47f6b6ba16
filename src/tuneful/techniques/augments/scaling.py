"""Scaling: each channel of a series becomes larger or smaller as a whole.

    x'[c, t] = x[c, t] a_c,  a_c ~ N(1, std^2) for each channel of each example

Of series that were standardized one by one it undoes nothing that tells the class, as their size was taken off before.

Source: Um et al., ICMI 2017, arXiv:1706.00527 (std 0.1 there).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import NonNegative
from tuneful.core.errors import RecipeError
from tuneful.core.form import FormKind
from tuneful.techniques.interfaces import Augment


class Scaling(Augment):
    """Sensors differ in how much they show of the same movement."""

    source: ClassVar[str] = "Um et al., ICMI 2017, arXiv:1706.00527"
    cost: ClassVar[str] = "one copy of the batch"
    serves: ClassVar[tuple[FormKind, ...]] = ("series",)

    kind: Literal["scaling"] = "scaling"
    std: NonNegative = 0.1  # deviation of the factor from 1

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """A factor for each channel of each example, [B, C]."""
        B, C, _ = require_series(shape, self.kind)
        return {"factor": 1 + self.std * torch.randn(B, C, generator=dice)}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Multiply the channels of [B, C, T]; p is given back as it is."""
        return x * drawn["factor"].to(x.device, x.dtype)[..., None], p


def require_series(shape: Sequence[int], kind: str) -> tuple[int, int, int]:
    """(B, C, T); raises RecipeError where the shape is another."""
    if len(shape) != 3:
        raise RecipeError(
            f"{kind} changes series; it was given a batch of shape {list(shape)}, not [B, C, T]",
            f"leave {kind} out for data that are no series",
        )
    B, C, T = shape
    return B, C, T
