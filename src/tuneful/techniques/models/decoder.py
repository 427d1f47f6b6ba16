"""Decoder: a Transformer in which every place looks back only, so that each can say what comes next (GPT-like).

    h = vectors of the places;  depth times: causal block (see `blocks`);  norm;  each place, or the last one;  linear

Where the answers are the tokens themselves, the last layer's weights are the tokens' vectors (tied).

Source: Radford et al. 2018 (GPT); Vaswani et al., NeurIPS 2017, arXiv:1706.03762; tied weights: Press & Wolf, EACL 2017,
arXiv:1608.05859.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation
from tuneful.techniques.models.blocks import Block, Norm, Places, Positions, fits, norm
from tuneful.techniques.models.sequence import SEQUENCES, Answer, Reader


class Decoder(Model):
    """For what comes next: letters, words, values."""

    source: ClassVar[str] = "Radford et al. 2018 (GPT)"
    cost: ClassVar[str] = "12 * depth * width^2 weights, as many multiply-adds a place and depth * width a pair of places"
    serves: ClassVar[tuple[FormKind, ...]] = SEQUENCES
    places: ClassVar[bool] = True
    causal: ClassVar[bool] = True

    kind: Literal["decoder"] = "decoder"
    width: Count = 128  # numbers in the vector of a place
    depth: Count = 2  # layers
    heads: Count = 4  # looks at earlier places, side by side
    activation: Activation = "gelu"  # nonlinear function
    norm: Norm = "layer"  # normalization before each part
    positions: Positions = "rotary"  # how a place knows where it is
    tied: bool = True  # tokens have one vector for reading and for saying them

    def build(self, form: Form) -> nn.Module:
        """For sequences of any length from 1. Raises ModelError when the width does not suit the heads."""
        fits(self.kind, self.width, self.heads)
        return _Decoder(self, form)


class _Decoder(nn.Module):
    def __init__(self, dials: Decoder, form: Form) -> None:
        super().__init__()
        length = form.shape[-1]
        self.reader = Reader(form, dials.width)
        self.places = Places(dials.positions, length, dials.width)
        turned = length if dials.positions == "rotary" else 0
        self.blocks = nn.ModuleList(
            Block(dials.width, dials.heads, turned, dials.activation, dials.norm) for _ in range(dials.depth)
        )
        self.norm = norm(dials.norm, dials.width)
        self.answer = Answer(form, dials.width, "last")
        if dials.tied and form.causal and form.whole and form.outputs == form.vocabulary:
            self.answer.head.weight = self.reader.entry.weight  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        h, there = self.reader(x)
        h = self.places(h)
        for block in self.blocks:
            h = block(h, None, causal=True)  # what fills up stands at the end, where nobody looks
        return self.answer(self.norm(h), there)
