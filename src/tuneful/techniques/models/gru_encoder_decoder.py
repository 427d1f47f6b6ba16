"""GRUs that translate: one reads the source, another writes the target and looks back at what was read.

    s_j = [forwards; backwards] of the source;   h_t = GRU(vector of y_{t-1}, h_{t-1}),  h_0 = tanh(W s_mean)
    a_t = softmax_j(h_t' A s_j);   o_t = tanh(W [h_t; sum_j a_tj s_j]);   the next token: softmax(E o_t + b)

What is looked at does not enter the next state, so that the whole target goes through the GRU in one call while it is learned.
E are the vectors by which the target is read, too (tied).

Source: Luong, Pham & Manning, EMNLP 2015, arXiv:1508.04025 (global attention, "general" score, no input feeding); reading in both
directions: Bahdanau et al., ICLR 2015, arXiv:1409.0473; tied vectors: Press & Wolf, EACL 2017, arXiv:1608.05859.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.blocks import FAR
from tuneful.techniques.models.sequence import turned
from tuneful.techniques.models.writer import Writer, halves, within


class GRUEncoderDecoder(Model):
    """For translation and the like where there is little time: it learns more in few epochs than a Transformer."""

    source: ClassVar[str] = "Luong et al., EMNLP 2015, arXiv:1508.04025"
    cost: ClassVar[str] = "about 15 * width^2 weights beside those of the tokens; a step for each place, one after the other"
    serves: ClassVar[tuple[FormKind, ...]] = ("pair",)
    places: ClassVar[bool] = True
    causal: ClassVar[bool] = True
    stackable: ClassVar[str] = "torch's recurrent kernels have no batching rule for vmap"

    kind: Literal["gru_encoder_decoder"] = "gru_encoder_decoder"
    width: Count = 256  # numbers in the vector of a token, and in what is carried on
    depth: Count = 1  # layers on each side
    tied: bool = True  # target tokens have one vector for reading and for saying them

    def build(self, form: Form) -> nn.Module:
        """For pairs of any lengths. Raises ModelError where there is no target to write."""
        within(self.kind, form)
        return _GRUs(self, form)


class _GRUs(nn.Module, Writer):
    def __init__(self, dials: GRUEncoderDecoder, form: Form) -> None:
        super().__init__()
        self.source, width = form.source, dials.width
        self.reads = nn.Embedding(form.vocabulary, width, padding_idx=0)
        self.writes = nn.Embedding(form.outputs, width, padding_idx=0)
        self.drop = nn.Dropout(0.0)
        sizes = [width, *[2 * width] * (dials.depth - 1)]
        self.forwards = nn.ModuleList(nn.GRU(size, width, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(nn.GRU(size, width, batch_first=True) for size in sizes)
        self.begin = nn.Linear(2 * width, dials.depth * width)
        self.layers = nn.ModuleList(nn.GRU(width, width, batch_first=True) for _ in range(dials.depth))
        self.key = nn.Linear(2 * width, width, bias=False)
        self.mix = nn.Linear(3 * width, width)
        self.head = nn.Linear(width, form.outputs)
        if dials.tied:
            self.head.weight = self.writes.weight

    def forward(self, x: Tensor) -> Tensor:
        source, target = halves(x, self.source, self.training)
        memory, carried = self.read(source)
        h, _ = self._carry(self.drop(self.writes(target)), carried)
        return self.head(self._look(h, *memory))

    def read(self, source: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        there = source != 0
        s = self.drop(self.reads(source))
        for forwards, backwards in zip(self.forwards, self.backwards):
            ways = [forwards(s)[0], turned(backwards(turned(s, there))[0], there)]
            s = torch.cat(ways, dim=-1) * there.unsqueeze(-1)
        mean = s.sum(1) / there.sum(1, keepdim=True).clamp(min=1)
        return [s, self.key(s), there.float()], [torch.tanh(self.begin(mean))]

    def step(self, token: Tensor, memory: Sequence[Tensor], carried: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, states = self._carry(self.writes(token).unsqueeze(1), carried)
        return self.head(self._look(h, *memory)).squeeze(1), states

    def _carry(self, h: Tensor, carried: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The target's layers, from the states [B, depth * D] that are given."""
        states: list[Tensor] = []
        for layer, state in zip(self.layers, carried[0].chunk(len(self.layers), dim=-1)):
            h, last = layer(h if not states else self.drop(h), state.unsqueeze(0).contiguous())
            states.append(last.squeeze(0))
        return h, [torch.cat(states, dim=-1)]

    def _look(self, h_BTD: Tensor, s_BSE: Tensor, key_BSD: Tensor, there_BS: Tensor) -> Tensor:
        score = h_BTD @ key_BSD.transpose(1, 2)
        score = score.masked_fill(there_BS.unsqueeze(1) == 0, FAR)
        seen = torch.softmax(score, dim=-1) @ s_BSE
        return self.drop(torch.tanh(self.mix(torch.cat([h_BTD, seen], dim=-1))))
