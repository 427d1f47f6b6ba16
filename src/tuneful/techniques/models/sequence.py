"""What the models of sequences share: any of them as vectors, one a place; what is filled up; one vector for all places.

tokens       [B, T]        a learned vector for each number; 0 fills up and is no place
series       [B, C, T]     a linear map of the C values of each moment
spectrogram  [B, 1, F, T]  a linear map of the F bands of each frame
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tuneful.core.form import Form, FormKind

SEQUENCES: tuple[FormKind, ...] = ("tokens", "series", "spectrogram")
Pool = Literal["mean", "max", "last", "attention"]


class Reader(nn.Module):
    """[B, *shape] as vectors [B, T, D], and which places are there, [B, T]."""

    def __init__(self, form: Form, width: int) -> None:
        super().__init__()
        self.kind = form.kind
        self.entry = nn.Embedding(form.vocabulary, width, padding_idx=0) if form.whole else nn.Linear(form.shape[-2], width)
        self.drop = nn.Dropout(0.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.kind == "tokens":
            there = x != 0
        else:
            x = (x.squeeze(1) if self.kind == "spectrogram" else x).transpose(1, 2)
            there = torch.ones_like(x[..., 0], dtype=torch.bool)
        return self.drop(self.entry(x)), there


def turned(h_BTD: Tensor, there_BT: Tensor) -> Tensor:
    """Each sequence backwards within its own length; what fills up stays at the end. Turned twice it is as before."""
    length = there_BT.sum(1, keepdim=True)
    place = torch.arange(there_BT.shape[1], device=h_BTD.device).unsqueeze(0)
    at = torch.where(place < length, length - 1 - place, place)
    return h_BTD.gather(1, at.unsqueeze(-1).expand_as(h_BTD))


def last(h_BTD: Tensor, there_BT: Tensor) -> Tensor:
    """What stands at the last place that is there, [B, D]."""
    at = (there_BT.sum(1) - 1).clamp(min=0)
    return h_BTD.gather(1, at[:, None, None].expand(-1, 1, h_BTD.shape[2])).squeeze(1)


class Pooled(nn.Module):
    """One vector for all places that are there: their mean, their maxima, the last one, or a learned weighted mean.

    attention: weights softmax(q . tanh(W h_t)) (Yang et al., NAACL 2016, without their hierarchy).
    """

    def __init__(self, pool: Pool, width: int) -> None:
        super().__init__()
        self.pool = pool
        if pool == "attention":
            self.look, self.ask = nn.Linear(width, width), nn.Linear(width, 1, bias=False)

    def forward(self, h_BTD: Tensor, there_BT: Tensor) -> Tensor:
        if self.pool == "last":
            return last(h_BTD, there_BT)
        mask = there_BT.unsqueeze(-1)
        if self.pool == "max":  # a text without any token gives zeros
            return torch.where(mask.any(1), h_BTD.masked_fill(~mask, -1e30).amax(1), 0.0)
        if self.pool == "attention":
            score = self.ask(torch.tanh(self.look(h_BTD))).masked_fill(~mask, -1e30)
            return (h_BTD * torch.softmax(score, dim=1) * mask).sum(1)
        return (h_BTD * mask).sum(1) / mask.sum(1).clamp(min=1)


class Answer(nn.Module):
    """From vectors [B, T, D] to [B, outputs], or [B, T, outputs] where each place has an answer."""

    def __init__(self, form: Form, width: int, pool: Pool) -> None:
        super().__init__()
        self.each = form.each
        self.pool = Pooled(pool, width) if form.each == "example" else nn.Identity()
        self.drop = nn.Dropout(0.0)
        self.head = nn.Linear(width, form.outputs)

    def forward(self, h_BTD: Tensor, there_BT: Tensor) -> Tensor:
        h = self.pool(h_BTD, there_BT) if self.each == "example" else h_BTD
        return self.head(self.drop(h))
