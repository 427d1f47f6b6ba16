"""Fronts: the first part of every network, from stored examples to what its body sees. Fitted on train, exported with it.

Normalize   (x - mean) / std per channel or feature
Standardize (x - mean) / std of each channel of each series by itself
LogMel      a sound, as loud as all others, as the logarithms of its energy in F bands over T frames
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.task import Task

SILENCE = 1e-6  # energy added before the logarithm: that of a tone 60 dB below full scale
LOUDNESS = 0.1  # root mean square that sounds are brought to, as a share of full scale: speech is often mastered so
FAINT = 1 / 32768  # added to that of a sound, so that silence stays silent: one step of 16 bits


class Normalize(nn.Module):
    """(x - mean) / std per channel of [B, C, H, W] or [B, C, T], or per feature of [B, D]."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", 1 / std)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.scale


class Standardize(nn.Module):
    """(x - m) / (s + 1e-8), m and s of each channel over the moments of each series of [B, C, T]; a flat channel becomes 0."""

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        return centred / (centred.square().mean(dim=-1, keepdim=True).sqrt() + 1e-8)


class LogMel(nn.Module):
    """Sound [B, 1, S] (int16 scale) to [B, 1, F, T], normalized per band.

        x = loudness x / (rms(x) + faint)                     where `level`: what is told by loudness alone is taken off
        X = |DFT of windows of `window` samples every `hop`|^2,  M = mel X,  out = (log(M + silence) - mean) / std

    rms is taken over the samples that are not 0, as short sounds are filled up with zeros.

    The transform is a convolution with cosines and sines, so that it is exported like any layer. Mel scale: Stevens, Volkmann
    & Newman 1937, in O'Shaughnessy's form, 2595 log10(1 + f / 700); triangles that touch (Davis & Mermelstein, IEEE TASSP 28,
    1980). Cost: 2 * window * (window / 2 + 1) multiply-adds a frame.
    """

    waves: Tensor
    bands: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(
        self, rate: int, window: int, hop: int, bands: int, mean: Any = 0.0, std: Any = 1.0, level: bool = False
    ) -> None:
        super().__init__()
        self.window, self.hop, self.level = window, hop, level
        time = torch.arange(window, dtype=torch.float64)
        hann = 0.5 - 0.5 * torch.cos(2 * math.pi * time / window)
        angle = 2 * math.pi * torch.arange(window // 2 + 1, dtype=torch.float64)[:, None] * time / window
        waves = torch.cat([hann * angle.cos(), hann * -angle.sin()]) / hann.sum()
        self.register_buffer("waves", waves[:, None].float())
        self.register_buffer("bands", torch.from_numpy(triangles(rate, window, bands)).float())
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).reshape(-1, 1))
        self.register_buffer("scale", 1 / torch.as_tensor(std, dtype=torch.float32).reshape(-1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x / 32768
        if self.level:
            heard = (x != 0).to(x.dtype).sum(dim=-1, keepdim=True).clamp(min=1)
            x = x * (LOUDNESS / ((x.square().sum(dim=-1, keepdim=True) / heard).sqrt() + FAINT))
        x = F.pad(x, (self.window // 2, self.window // 2))
        real, imaginary = F.conv1d(x, self.waves, stride=self.hop).chunk(2, dim=1)
        energy = self.bands @ (real * real + imaginary * imaginary)
        return (((energy + SILENCE).log() - self.mean) * self.scale).unsqueeze(1)


def triangles(rate: int, window: int, bands: int) -> np.ndarray:
    """[bands, window // 2 + 1]: how much each frequency of the transform counts for each band, evenly spaced in mel."""

    def mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    edges = 700 * (10 ** (np.linspace(mel(0.0), mel(rate / 2), bands + 2) / 2595) - 1)
    lines = np.linspace(0, rate / 2, window // 2 + 1)
    rise = (lines - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - lines) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall))


def frames(samples: int, window: int, hop: int) -> int:
    """How many windows a sound has."""
    return (samples + 2 * (window // 2) - window) // hop + 1


def front(task: Task) -> nn.Module:
    """The front that a task's schema asks for."""
    mel: Mapping[str, Any] = task.schema.get("mel", {})
    if mel:
        return LogMel(
            int(task.schema["rate"]),
            mel["window"],
            mel["hop"],
            mel["bands"],
            mel["mean"],
            mel["std"],
            bool(mel.get("level")),
        )
    if task.schema.get("standardize"):
        return Standardize()
    if not task.normalize:
        return nn.Identity()
    axes = (-1, *[1] * (len(task.shape) - 1))
    mean, std = (torch.tensor(task.normalize[k], dtype=torch.float32).reshape(axes) for k in ("mean", "std"))
    return Normalize(mean, std)


def for_baselines(front: nn.Module, x: np.ndarray) -> np.ndarray:
    """What simple models get: stored examples as they are; of sounds, which no linear model understands as samples, the mean
    log-mel energy of each band in six equal parts of the time, [N, F * 6]; series standardized where the network's are."""
    if isinstance(front, Standardize) and len(x):
        with torch.inference_mode():
            return front(torch.from_numpy(np.array(x)).float()).numpy()
    if not isinstance(front, LogMel) or not len(x):
        return x
    found: list[np.ndarray] = []
    with torch.inference_mode():
        for start in range(0, len(x), 256):
            seen = front(torch.from_numpy(np.array(x[start : start + 256])).float())
            found.append(F.adaptive_avg_pool2d(seen, (seen.shape[2], min(6, seen.shape[3]))).flatten(1).numpy())
    return np.concatenate(found)
