"""Background: noise, or another example of the batch, at a given distance in loudness.

    x' = x + g n,   g = sqrt(power(x) / (power(n) 10^(snr / 10))),   snr ~ U(snr, snr + spread) decibels for each example

power is the mean square over an example, so the scale of the recording does not matter. The noise is white (every frequency
alike), pink (power ~ 1/f: voices, music) or brown (1/f^2: wind, traffic), made by weighing the spectrum of white noise;
"batch" takes a permutation of the examples instead, whose targets do not count: what is loud gives the name.

Source: Ko et al., ICASSP 2017 (noise at a signal-to-noise ratio); Timmer & König, Astronomy & Astrophysics 300, 1995 (noise
with a power law).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import NonNegative, Real
from tuneful.core.errors import RecipeError
from tuneful.core.form import FormKind
from tuneful.techniques.interfaces import Augment

POWER = {"white": 0.0, "pink": 1.0, "brown": 2.0}  # the exponent of 1/f in the spectrum of power


class Background(Augment):
    """Recordings are seldom made in silence."""

    source: ClassVar[str] = "Ko et al., ICASSP 2017"
    cost: ClassVar[str] = "one draw per number of the batch, and a Fourier transform of it for coloured noise"
    serves: ClassVar[tuple[FormKind, ...]] = ("series", "spectrogram")
    raw: ClassVar[bool] = True
    partners: ClassVar[tuple[str, ...]] = ("partner",)

    kind: Literal["background"] = "background"
    snr: Real = 10.0  # least distance between signal and background, in decibels; 0 is equally loud
    spread: NonNegative = 20.0  # how much more it may be, in decibels
    of: Literal["pink", "white", "brown", "batch"] = "pink"  # what is heard behind

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """A distance for each example, and the noise; or a partner each, and no noise."""
        if len(shape) != 3:
            raise RecipeError(
                f"background mixes recordings and series; it was given a batch of shape {list(shape)}, not [B, C, T]",
                "leave background out for other data",
            )
        B = shape[0]
        snr = self.snr + self.spread * torch.rand(B, generator=dice)
        if self.of == "batch":
            return {"snr": snr, "noise": torch.zeros(tuple(shape)), "partner": torch.randperm(B, generator=dice)}
        noise = coloured(torch.randn(tuple(shape), generator=dice), POWER[self.of])
        return {"snr": snr, "noise": noise, "partner": torch.arange(B)}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Mix the background into [B, C, T]; p is given back as it is."""
        noise = drawn["noise"].to(x.device, x.dtype)
        own = drawn["partner"] == torch.arange(len(x))
        other = torch.where(own.to(x.device)[:, None, None], noise, x[drawn["partner"].to(x.device)])
        ratio = 10 ** (drawn["snr"].to(x.device, x.dtype) / 10)
        power_x, power_n = (one.square().flatten(1).mean(1) for one in (x, other))
        gain = (power_x / (power_n * ratio).clamp(min=torch.finfo(x.dtype).tiny)).sqrt()
        return x + gain[:, None, None] * other, p


def coloured(white: Tensor, exponent: float) -> Tensor:
    """White noise [..., T] with the power of frequency f in proportion to 1/f^exponent; the constant part is removed."""
    if exponent == 0:
        return white
    spectrum = torch.fft.rfft(white)
    f = torch.arange(spectrum.shape[-1], dtype=white.dtype)
    weight = f.clamp(min=1) ** (-exponent / 2)
    weight[0] = 0
    return torch.fft.irfft(spectrum * weight, n=white.shape[-1])
