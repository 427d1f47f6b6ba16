"""Encoder-decoder: one Transformer reads the source, another writes the target while it looks at what was read.

    s = encoder(source);  h = vectors of the target so far;  depth times: causal block with a look at s;  norm;  linear

Source: Vaswani et al., NeurIPS 2017, arXiv:1706.03762; the norm before each part as in `blocks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation
from tuneful.techniques.models.blocks import Block, Norm, Places, Positions, fits, norm, visible
from tuneful.techniques.models.writer import Writer, halves, within


class EncoderDecoder(Model):
    """For translation and whatever else turns one sequence into another."""

    source: ClassVar[str] = "Vaswani et al., NeurIPS 2017, arXiv:1706.03762"
    cost: ClassVar[str] = "28 * depth * width^2 weights beside those of the tokens"
    serves: ClassVar[tuple[FormKind, ...]] = ("pair",)
    places: ClassVar[bool] = True
    causal: ClassVar[bool] = True

    kind: Literal["encoder_decoder"] = "encoder_decoder"
    width: Count = 128  # numbers in the vector of a place
    depth: Count = 2  # layers on each side
    heads: Count = 4  # looks at other places, side by side
    activation: Activation = "relu"  # nonlinear function
    norm: Norm = "layer"  # normalization before each part
    positions: Positions = "rotary"  # how a place knows where it is
    tied: bool = True  # target tokens have one vector for reading and for saying them

    def build(self, form: Form) -> nn.Module:
        """For pairs of any lengths. Raises ModelError when the width does not suit the heads, or there is no target to write."""
        fits(self.kind, self.width, self.heads)
        within(self.kind, form)
        return _EncoderDecoder(self, form)


class _EncoderDecoder(nn.Module, Writer):
    def __init__(self, dials: EncoderDecoder, form: Form) -> None:
        super().__init__()
        self.source, self.length = form.source, form.shape[0] - form.source
        length = self.length
        self.reads = nn.Embedding(form.vocabulary, dials.width, padding_idx=0)
        self.writes = nn.Embedding(form.outputs, dials.width, padding_idx=0)
        self.drop = nn.Dropout(0.0)
        self.there = Places(dials.positions, self.source, dials.width)
        self.here = Places(dials.positions, length, dials.width)
        turned = (self.source, length) if dials.positions == "rotary" else (0, 0)
        self.encoder = nn.ModuleList(
            Block(dials.width, dials.heads, turned[0], dials.activation, dials.norm) for _ in range(dials.depth)
        )
        self.decoder = nn.ModuleList(
            Block(dials.width, dials.heads, turned[1], dials.activation, dials.norm, crossed=True)
            for _ in range(dials.depth)
        )
        self.between, self.last = norm(dials.norm, dials.width), norm(dials.norm, dials.width)
        self.head = nn.Linear(dials.width, form.outputs)
        if dials.tied:
            self.head.weight = self.writes.weight

    def forward(self, x: Tensor) -> Tensor:
        source, target = halves(x, self.source, self.training)
        s, shown = self._read(source)
        h = self.here(self.drop(self.writes(target)))
        for block in self.decoder:
            h = block(h, None, causal=True, source=s, shown=shown)
        return self.head(self.last(h))

    def _read(self, source: Tensor) -> tuple[Tensor, Tensor]:
        shown = visible(source != 0)
        s = self.there(self.drop(self.reads(source)))
        for block in self.encoder:
            s = block(s, shown)
        return self.between(s), shown

    def read(self, source: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Memory: what was read as each block's keys and values, and which places are there. Carried: how many tokens are
        written, and the keys and values of all places of the target, those to come 0."""
        s, shown = self._read(source)
        looks = [both for block in self._blocks() for both in block.cross.keys(s)]
        at = torch.zeros_like(source[:, 0])
        empty = [block.attend.empty(s, self.length) for block in self._blocks() for _ in range(2)]
        return [shown.float(), *looks], [at, *empty]

    def step(self, token: Tensor, memory: Sequence[Tensor], carried: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        at, shown = carried[0], memory[0] != 0
        h, kept = self.here.one(self.writes(token).unsqueeze(1), at), list[Tensor]()
        for number, block in enumerate(self._blocks()):
            h, pair = block.one(
                h, at, carried[1 + 2 * number : 3 + 2 * number], memory[1 + 2 * number : 3 + 2 * number], shown
            )
            kept += pair
        return self.head(self.last(h)).squeeze(1), [at + 1, *kept]

    def _blocks(self) -> list[Any]:
        return list(self.decoder)
