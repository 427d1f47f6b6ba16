"""SpecAugment: bands of frequencies and stretches of time of a spectrogram are hidden.

    frequency: `bands` times,   f ~ U(0, height F), a band of f rows at an even place becomes 0, the mean of the data
    time:      `stretches` times, t ~ U(0, width T), a stretch of t frames at an even place becomes 0

Widths are shares of the axes, so that one setting serves spectrograms of any size. The paper's time warping is left out, as
its own ablation finds the least in it.

Source: Park et al., Interspeech 2019, section 2, arXiv:1904.08779.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Share, Whole
from tuneful.core.errors import RecipeError
from tuneful.core.form import FormKind
from tuneful.techniques.interfaces import Augment


class SpecAugment(Augment):
    """A word is still known with a part of its sound missing."""

    source: ClassVar[str] = "Park et al., Interspeech 2019, arXiv:1904.08779"
    cost: ClassVar[str] = "one copy of the batch"
    serves: ClassVar[tuple[FormKind, ...]] = ("spectrogram",)

    kind: Literal["specaugment"] = "specaugment"
    height: Share = 0.2  # widest band, as a share of the frequencies
    width: Share = 0.2  # longest stretch, as a share of the frames
    bands: Whole = 2  # hidden bands of frequencies
    stretches: Whole = 2  # hidden stretches of time

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """Which frequencies and which frames are hidden, for each example: {"rows": [B, F], "frames": [B, T]}, bool."""
        if len(shape) not in (3, 4):
            raise RecipeError(
                f"specaugment hides parts of spectrograms; it was given a batch of shape {list(shape)}, "
                f"not [B, F, T] or [B, C, F, T]",
                "leave specaugment out for other data",
            )
        B, F, T = shape[0], shape[-2], shape[-1]
        return {
            "rows": hidden(B, F, self.bands, self.height, dice),
            "frames": hidden(B, T, self.stretches, self.width, dice),
        }

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Hide them in all channels alike; p is given back as it is."""
        mask = (drawn["rows"][:, :, None] | drawn["frames"][:, None, :]).to(x.device)
        return x.masked_fill(mask if x.ndim == 3 else mask[:, None], 0.0), p


def hidden(B: int, size: int, times: int, share: float, dice: torch.Generator) -> Tensor:
    """`times` runs of up to share * size places in each of B rows: bool [B, size]."""
    length, place = torch.rand(2, B, times, generator=dice)
    length = (length * (int(share * size) + 1)).floor()
    start = (place * (size - length + 1)).floor()
    at = torch.arange(size)
    return ((at >= start[..., None]) & (at < (start + length)[..., None])).any(1)
