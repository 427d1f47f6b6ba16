"""What RNN, LSTM and GRU share: layers that read a sequence place by place, forwards and, where that is allowed, backwards.

    forwards   h_t = cell(x_t, h_{t-1})      backwards  the same over each sequence turned within its own length
    the next layer reads both side by side

Sequences are filled up at their ends, so the way forwards never sees what fills up before its own end, and the way backwards
is turned so that it does not either: places that are there get exactly what packed sequences give them, and the others 0.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Count
from tuneful.core.errors import ModelError
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.sequence import SEQUENCES, Answer, Pool, Reader, turned


class Recurrent(Model):
    """Settings of all of them. A class that follows says which layer of torch it is made of."""

    cost: ClassVar[str] = (
        "a step for each place, one after the other; (embedding + width) * width weights a gate and direction"
    )
    serves: ClassVar[tuple[FormKind, ...]] = SEQUENCES
    places: ClassVar[bool] = True
    causal: ClassVar[bool] = True
    stackable: ClassVar[str] = "torch's recurrent kernels have no batching rule for vmap"

    embedding: Count = 64  # numbers in the vector of a token, or of what a moment is mapped to
    width: Count = 128  # numbers that are carried on, in each direction
    depth: Count = 1  # layers
    directions: Literal["auto", "one", "both"] = "auto"  # both, unless the answer is what comes next
    pool: Pool = "max"  # what is made of all places where there is one answer

    @abstractmethod
    def layer(self, inputs: int) -> nn.Module:
        """A layer over one direction, from [B, T, inputs] to ([B, T, width], state)."""

    def build(self, form: Form) -> nn.Module:
        """For sequences of any length from 1. Raises ModelError for both directions where the answer is what comes next."""
        if self.directions == "both" and form.causal:
            raise ModelError(
                f"model.{getattr(self, 'kind', '')} reads in both directions, and the answer is what comes next: it would see it",
                "take model.directions=one",
            )
        return _Recurrent(self, form)


class _Recurrent(nn.Module):
    def __init__(self, dials: Recurrent, form: Form) -> None:
        super().__init__()
        self.reader = Reader(form, dials.embedding)
        both = dials.directions == "both" or (dials.directions == "auto" and not form.causal)
        wide = dials.width * (2 if both else 1)
        sizes = [dials.embedding, *[wide] * (dials.depth - 1)]
        self.forwards = nn.ModuleList(dials.layer(size) for size in sizes)
        self.backwards = nn.ModuleList(dials.layer(size) for size in sizes if both)
        self.drop = nn.Dropout(0.0)
        self.answer = Answer(form, wide, dials.pool)

    def forward(self, x: Tensor) -> Tensor:
        h, there = self.reader(x)
        for at, layer in enumerate(self.forwards):
            h = self.drop(h) if at else h
            ways: list[Any] = [layer(h)[0]]
            if len(self.backwards):
                ways.append(turned(self.backwards[at](turned(h, there))[0], there))
            h = torch.cat(ways, dim=-1) * there.unsqueeze(-1)
        return self.answer(h, there)
