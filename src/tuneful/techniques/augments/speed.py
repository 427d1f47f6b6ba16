"""Speed: a recording or a series is played faster or slower, which moves all of its frequencies as well.

    x'(t) = x(c + r (t - c)),   log r ~ U(-log(1 + amount), log(1 + amount)) for each example,   c: the middle

Between two moments the value is on the line between theirs; beyond the ends, the nearest one. A voice that is played faster is
higher, as that of a shorter throat is: so a few speakers stand for many.

Not for forecasts: their targets follow the last moment, at the speed that was recorded.

Source: Ko et al., Interspeech 2015, "Audio augmentation for speech recognition" (factors 0.9, 1 and 1.1); for spectrograms
Jaitly & Hinton, ICML workshop 2013 (vocal tract length perturbation).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Positive
from tuneful.core.errors import RecipeError
from tuneful.core.form import FormKind
from tuneful.techniques.interfaces import Augment


class Speed(Augment):
    """Another throat, another hurry: the same word is higher and shorter, or lower and longer."""

    source: ClassVar[str] = "Ko et al., Interspeech 2015"
    cost: ClassVar[str] = "two copies of the batch, and two places per value"
    serves: ClassVar[tuple[FormKind, ...]] = ("series", "spectrogram")
    raw: ClassVar[bool] = True
    moves: ClassVar[bool] = True

    kind: Literal["speed"] = "speed"
    amount: Positive = 0.2  # 0.2: from 1 / 1.2 to 1.2 times as fast

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """How many times as fast each example is played."""
        if len(shape) != 3:
            raise RecipeError(
                f"speed plays recordings and series; it was given a batch of shape {list(shape)}, not [B, C, T]",
                "leave speed out for other data",
            )
        most = math.log1p(self.amount)
        return {"rate": (most * (2 * torch.rand(shape[0], generator=dice, dtype=torch.float64) - 1)).exp()}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Play [B, C, T] at other speeds; p is given back as it is."""
        B, C, T = x.shape
        middle = (T - 1) / 2
        places = (middle + drawn["rate"][:, None] * (torch.arange(T) - middle)).clamp(0, T - 1)
        before = places.floor().clamp(max=max(T - 2, 0))
        share = (places - before).to(x.device, x.dtype if x.is_floating_point() else torch.float32)[:, None]
        index = before.long().to(x.device)[:, None].expand(B, C, T)
        left, right = x.gather(-1, index), x.gather(-1, (index + 1).clamp(max=T - 1))
        return left + share * (right - left), p
