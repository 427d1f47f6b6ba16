"""The parts of Transformers of sequences: attention to itself or to a source, causal or not, and the layer around it.

    h = h + drop(attend(norm h));   with a source s:  h = h + drop(attend(norm h, s));   h = h + drop(W' f(W norm h))
    attend: softmax(q k' / sqrt d) v for each head; places that fill up are never looked at, nor later ones where it is causal

Positions: learned vectors that are added, or q and k turned by an angle that grows with the place (rotary).

Source: Vaswani et al., NeurIPS 2017, arXiv:1706.03762; the norm before: Xiong et al., ICML 2020, arXiv:2002.04745; rotary: Su et
al. 2021, arXiv:2104.09864; RMS norm: Zhang & Sennrich, NeurIPS 2019, arXiv:1910.07467.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Attention, Residual
from tuneful.techniques.models.activations import Activation, activation

Norm = Literal["layer", "rms"]
Positions = Literal["rotary", "learned"]
FAR = -1e30  # a score that weighs nothing
_BASE = 10_000.0  # of the angles


def norm(name: Norm, width: int) -> nn.Module:
    """A new norm over the last axis."""
    return nn.LayerNorm(width) if name == "layer" else nn.RMSNorm(width)


def fits(name: str, width: int, heads: int) -> None:
    """Raises ModelError when the width cannot be shared out among the heads, in pairs."""
    if width % (2 * heads):
        raise ModelError(
            f"model.{name} has width {width} and {heads} heads; the width must be a multiple of {2 * heads} (two numbers a head)",
            f"take model.width={max(1, round(width / (2 * heads))) * 2 * heads}",
        )


class Places(nn.Module):
    """Learned vectors of places, added; nothing where q and k are turned instead."""

    def __init__(self, positions: Positions, length: int, width: int) -> None:
        super().__init__()
        self.at = nn.Parameter(0.02 * torch.randn(length, width)) if positions == "learned" else None

    def forward(self, h_BTD: Tensor) -> Tensor:
        return h_BTD if self.at is None else h_BTD + self.at[: h_BTD.shape[1]]

    def one(self, h_B1D: Tensor, at_B: Tensor) -> Tensor:
        """The same for one place of each sequence."""
        return h_B1D if self.at is None else h_B1D + self.at[at_B].unsqueeze(1)


class Attend(nn.Module, Attention):
    """Attention of h to itself, or to a source. length: of the places whose angles are kept; 0 where none are turned."""

    cos: Tensor
    sin: Tensor

    def __init__(self, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.heads, self.head = heads, width // heads
        self.scale = self.head**-0.5
        self.query = nn.Linear(width, width)
        self.both = nn.Linear(width, 2 * width)  # keys and values
        self.out = nn.Linear(width, width)
        self.turns = length > 0
        half = width // heads // 2
        angle = torch.arange(length)[:, None] * _BASE ** (-torch.arange(half) / half)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, h_BTD: Tensor, source_BSD: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
        """mask: bool, True where q may look at k, broadcast to [B, heads, T, S]."""
        q, (k, v) = self._split(self.query(h_BTD)), (self._split(one) for one in self.both(source_BSD).chunk(2, dim=-1))
        if self.turns:
            cos, sin = self.cos[: h_BTD.shape[1]], self.sin[: h_BTD.shape[1]]
            q, k = self._turned(q, cos, sin), self._turned(k, cos, sin)
        # Not torch's own function: its fast kernel on a CPU has no batching rule for vmap.
        return self._found(q, k, v, mask, causal)

    def _found(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
        score = (self.scale * q) @ k.transpose(-1, -2)
        if mask is not None:
            score = score.masked_fill(~mask, FAR)
        if causal:
            score = score.masked_fill(~torch.ones_like(score[0, 0], dtype=torch.bool).tril(), FAR)
        found = torch.softmax(score, dim=-1) @ v
        return self.out(found.transpose(1, 2).flatten(2))

    def keys(self, source_BSD: Tensor) -> list[Tensor]:
        """Keys and values of a source that is looked at again and again, [B, H, S, d] each."""
        return [self._split(one) for one in self.both(source_BSD).chunk(2, dim=-1)]

    def empty(self, like_BSD: Tensor, length: int) -> Tensor:
        """Room for the keys, or the values, of so many places."""
        return like_BSD.new_zeros(like_BSD.shape[0], self.heads, length, self.head)

    def look(self, h_B1D: Tensor, kept: Sequence[Tensor], shown: Tensor) -> Tensor:
        """One place looks at keys and values that are there already."""
        return self._found(self._split(self.query(h_B1D)), kept[0], kept[1], shown)

    def grow(self, h_B1D: Tensor, at_B: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The place `at` of each sequence looks at those before it and at itself; its key and value are kept for those to come."""
        q, (k, v) = self._split(self.query(h_B1D)), self.keys(h_B1D)
        if self.turns:
            cos, sin = self.cos[at_B][:, None, None], self.sin[at_B][:, None, None]
            q, k = self._turned(q, cos, sin), self._turned(k, cos, sin)
        place = torch.arange(kept[0].shape[2], device=at_B.device)[None, None, :]
        here = (place == at_B[:, None, None]).unsqueeze(-1)
        grown = [torch.where(here, new, old) for new, old in zip((k, v), kept)]
        return self._found(q, grown[0], grown[1], (place <= at_B[:, None, None]).unsqueeze(2)), grown

    def _split(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _turned(self, x_BHTd: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        a, b = x_BHTd.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Block(nn.Module, Residual):
    """One layer. length: of the places that are turned, 0 for none; crossed: it looks at a source too."""

    def __init__(
        self, width: int, heads: int, length: int, act: Activation, normed: Norm, factor: int = 4, crossed: bool = False
    ) -> None:
        super().__init__()
        self.first, self.attend = norm(normed, width), Attend(width, heads, length)
        self.cross = Attend(width, heads, 0) if crossed else None
        self.between = norm(normed, width) if crossed else None
        self.second = norm(normed, width)
        self.units = nn.Sequential(
            nn.Linear(width, factor * width), activation(act), nn.Dropout(0.0), nn.Linear(factor * width, width)
        )
        self.drop = nn.Dropout(0.0)

    def forward(
        self, h: Tensor, mask: Tensor | None, causal: bool = False, source: Tensor | None = None, shown: Tensor | None = None
    ) -> Tensor:
        """mask: of h's own places; source, shown: what is looked at beside, and which of its places are there."""
        n = self.first(h)
        h = h + self.drop(self.attend(n, n, mask, causal))
        if self.cross is not None and self.between is not None and source is not None:
            h = h + self.drop(self.cross(self.between(h), source, shown))
        return h + self.drop(self.units(self.second(h)))

    def one(
        self, h_B1D: Tensor, at: Tensor, kept: Sequence[Tensor], source: Sequence[Tensor], shown: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """The layer for one place of each sequence, all before it being in `kept`, and the source's keys and values given."""
        if self.cross is None or self.between is None:
            raise ModelError("a block without a source writes nothing")
        found, grown = self.attend.grow(self.first(h_B1D), at, kept)
        h = h_B1D + found
        h = h + self.cross.look(self.between(h), source, shown)
        return h + self.units(self.second(h)), grown

    def ends(self) -> Sequence[nn.Module]:
        """The linear maps at the ends of its parts."""
        return [self.attend.out, *([self.cross.out] if self.cross is not None else []), self.units[3]]


def visible(there_BT: Tensor) -> Tensor:
    """[B, 1, 1, T]: which places may be looked at; the first one always, so that an empty text is no division by zero."""
    first = torch.arange(there_BT.shape[1], device=there_BT.device) == 0
    return (there_BT | first)[:, None, None, :]
