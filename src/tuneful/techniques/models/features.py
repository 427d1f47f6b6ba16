"""The features of a table as networks take them: numbers embedded, categories known as such.

    periodic     v = 2 pi c x;  e = relu(W [sin v, cos v] + b)      c learned, drawn with a deviation of `sigma`
    piecewise    q_t = clip((x - b_t) / (b_t+1 - b_t), 0, 1);  e = relu(W q + b)     the outer pieces are not cut

    spikes       e = relu(... + U [x = s_1, ..., x = s_S])          values that recur in train, beside either of the two

Each feature has its own c, W, b and U. A value that recurs may mean something that its neighbours do not (a gain of 15,024, an age of 0,
a price just below a round one); waves and pieces are too smooth to tell, trees cut it out. The bounds b_t are quantiles of a standard normal, so that with scale=ranks (numbers made
normal by their ranks) they are quantiles of the data; with other scaling they still lie where standardized numbers are.
Sources: Gorishniy, Rubachev & Babenko, NeurIPS 2022, arXiv:2203.05556, sections 3.2 and 3.3; spikes: Cheng et al.,
Wide & Deep Learning, DLRS 2016, arXiv:1606.07792 (values known by heart beside what generalizes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

import torch
from torch import Tensor, nn

Embedding = Literal["none", "periodic", "piecewise"]
RECURS = 10  # times that a value stands in train before it is known by itself
NEVER = 1e30  # stands where a feature has fewer such values
NEAR = 1e-5  # rounding between the ways of computing one value


class Periodic(nn.Module):
    """[B, F] as [B, F, 2 * frequencies]: sines and cosines."""

    def __init__(self, features: int, frequencies: int, sigma: float) -> None:
        super().__init__()
        self.rates = nn.Parameter(sigma * torch.randn(features, frequencies))

    def forward(self, x: Tensor) -> Tensor:
        v = 2 * math.pi * self.rates * x.unsqueeze(-1)
        return torch.cat([v.sin(), v.cos()], dim=-1)


class Piecewise(nn.Module):
    """[B, F] as [B, F, pieces]: how far through each piece of the line a number has come."""

    low: Tensor
    scale: Tensor
    floor: Tensor
    ceiling: Tensor

    def __init__(self, pieces: int) -> None:
        super().__init__()
        normal = NormalDist()
        bounds = torch.tensor([normal.inv_cdf((t + 0.5) / (pieces + 1)) for t in range(pieces + 1)])
        endless = torch.tensor(1e6)
        self.register_buffer("low", bounds[:-1])
        self.register_buffer("scale", 1 / bounds.diff())
        floor, ceiling = torch.zeros(pieces), torch.ones(pieces)
        floor[0], ceiling[-1] = -endless, endless
        self.register_buffer("floor", floor)
        self.register_buffer("ceiling", ceiling)

    def forward(self, x: Tensor) -> Tensor:
        return torch.minimum(torch.maximum((x.unsqueeze(-1) - self.low) * self.scale, self.floor), self.ceiling)


class EachLinear(nn.Module):
    """A linear layer for each feature: [B, F, K] as [B, F, D]."""

    def __init__(self, features: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(features, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(features, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bfk,fkd->bfd", x, self.weight) + self.bias


class Spiked(nn.Module):
    """An embedding of numbers, [B, F] as [B, F, D], and what is added to it where a number has one of the values that recur."""

    spikes: Tensor

    def __init__(self, smooth: nn.Module, features: int, spikes: int, size: int) -> None:
        super().__init__()
        self.smooth = smooth
        self.register_buffer("spikes", torch.full((features, spikes), NEVER))
        self.known = nn.Parameter(torch.zeros(features, spikes, size))  # as if there were none, at first

    def forward(self, x: Tensor) -> Tensor:
        hit = ((x.unsqueeze(-1) - self.spikes).abs() < NEAR).to(x.dtype)
        return torch.relu(self.smooth(x) + torch.einsum("bfs,fsd->bfd", hit, self.known))

    def look_(self, x: Tensor) -> None:
        """Find the values that recur in examples [N, F], of each number the most frequent ones."""
        for k, column in enumerate(x.unbind(1)):
            values, counts = column.unique(return_counts=True)
            order = counts.argsort(descending=True, stable=True)[: self.spikes.shape[1]]
            found = values[order[counts[order] >= RECURS]]
            self.spikes[k] = NEVER
            self.spikes[k, : len(found)] = found


class Features(nn.Module):
    """[B, D] as [B, units]: numbers embedded side by side, then the levels of categories as they are."""

    numbers: Tensor
    levels: Tensor

    def __init__(
        self, groups: Sequence[int], total: int, how: Embedding, size: int, frequencies: int, sigma: float, spikes: int = 0
    ) -> None:
        super().__init__()
        numbers, levels = apart(groups, total)
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64))
        self.register_buffer("levels", torch.tensor([k for a, b in levels for k in range(a, b)], dtype=torch.int64))
        self.embed = embedder(len(numbers), how, size, frequencies, sigma)
        if spikes and isinstance(self.embed, nn.Sequential):
            self.embed = Spiked(self.embed[:-1], len(numbers), spikes, size)
        self.units = len(numbers) * (size if how != "none" else 1) + len(self.levels)

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.embed(x.index_select(1, self.numbers)).flatten(1)
        return torch.cat([embedded, x.index_select(1, self.levels)], dim=1)

    def look_(self, x: Tensor) -> None:
        """See what recurs in examples [N, D] of train."""
        if isinstance(self.embed, Spiked):
            self.embed.look_(x.index_select(1, self.numbers))


def embedder(features: int, how: Embedding, size: int, frequencies: int, sigma: float) -> nn.Module:
    """[B, F] as [B, F, size], or as it is."""
    if how == "none" or features == 0:
        return nn.Identity()
    if how == "periodic":
        first, width = Periodic(features, frequencies, sigma), 2 * frequencies
    else:
        first, width = Piecewise(frequencies), frequencies
    return nn.Sequential(first, EachLinear(features, width, size), nn.ReLU())


def apart(groups: Sequence[int], total: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Places of the numbers, and from where to where each category's levels stand. Without groups all are numbers.

    >>> apart((1, 3, 1), 5)
    ([0, 4], [(1, 4)])
    """
    numbers: list[int] = []
    levels: list[tuple[int, int]] = []
    at = 0
    for size in groups or (1,) * total:
        if size == 1:
            numbers.append(at)
        else:
            levels.append((at, at + size))
        at += size
    return numbers, levels
