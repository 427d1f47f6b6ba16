"""Time shift: a recording, a series or a spectrogram begins earlier or later.

    x'[..., t] = x[..., t - k],  k ~ U{-amount T, ..., amount T} for each example; beyond the ends, the nearest value

Not for forecasts: their targets follow the last moment, which a shift repeats or removes.

Source: Salamon & Bello, IEEE Signal Processing Letters 24(3), 2017, arXiv:1608.04363, among whose deformations of sounds it is
the simplest; McFee et al., ISMIR 2015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Fraction
from tuneful.core.errors import RecipeError
from tuneful.core.form import FormKind
from tuneful.techniques.interfaces import Augment


class TimeShift(Augment):
    """Nobody begins to speak at the same moment."""

    source: ClassVar[str] = "Salamon & Bello, IEEE Signal Processing Letters 24(3), 2017, arXiv:1608.04363"
    cost: ClassVar[str] = "one copy of the batch, and a whole number per value"
    serves: ClassVar[tuple[FormKind, ...]] = ("series", "spectrogram")
    moves: ClassVar[bool] = True

    kind: Literal["time_shift"] = "time_shift"
    amount: Fraction = 0.1  # longest move to either side, as a share of the length

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """A whole number of moments for each example; positive ones move the content to later."""
        if len(shape) < 3:
            raise RecipeError(
                f"time_shift moves along time; it was given a batch of shape {list(shape)}, not [B, C, T] or [B, C, F, T]",
                "leave time_shift out for data without time",
            )
        most = int(self.amount * shape[-1])
        return {"later": torch.randint(-most, most + 1, (shape[0],), generator=dice)}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Move [B, ..., T] along its last axis; p is given back as it is."""
        B, T = len(x), x.shape[-1]
        places = (torch.arange(T) - drawn["later"][:, None]).clamp(0, T - 1).to(x.device)
        return x.gather(-1, places.reshape(B, *[1] * (x.ndim - 2), T).expand_as(x)), p
