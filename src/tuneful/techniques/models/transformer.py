"""Transformer encoder: every place looks at all others, layer after layer.

    h = vectors of the places;  depth times: block (see `blocks`);  norm;  the mean of all places, or each place;  linear

Source: Vaswani et al., NeurIPS 2017, arXiv:1706.03762 (the encoder).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation
from tuneful.techniques.models.blocks import Block, Norm, Places, Positions, fits, norm, visible
from tuneful.techniques.models.sequence import SEQUENCES, Answer, Pool, Reader


class Transformer(Model):
    """For sequences in which far places bear on one another; wants more examples than a recurrent one."""

    source: ClassVar[str] = "Vaswani et al., NeurIPS 2017, arXiv:1706.03762"
    cost: ClassVar[str] = (
        "12 * depth * width^2 weights, as many multiply-adds a place and 2 * depth * width a pair of places"
    )
    serves: ClassVar[tuple[FormKind, ...]] = SEQUENCES
    places: ClassVar[bool] = True

    kind: Literal["transformer"] = "transformer"
    width: Count = 64  # numbers in the vector of a place
    depth: Count = 2  # layers
    heads: Count = 4  # looks at other places, side by side
    activation: Activation = "gelu"  # nonlinear function
    norm: Norm = "layer"  # normalization before each part
    positions: Positions = "rotary"  # how a place knows where it is
    pool: Pool = "mean"  # what is made of all places where there is one answer

    def build(self, form: Form) -> nn.Module:
        """For sequences of any length from 1. Raises ModelError when the width does not suit the heads."""
        fits(self.kind, self.width, self.heads)
        return _Encoder(self, form)


class _Encoder(nn.Module):
    def __init__(self, dials: Transformer, form: Form) -> None:
        super().__init__()
        length = form.shape[-1]
        self.reader = Reader(form, dials.width)
        self.places = Places(dials.positions, length, dials.width)
        turned = length if dials.positions == "rotary" else 0
        self.blocks = nn.ModuleList(
            Block(dials.width, dials.heads, turned, dials.activation, dials.norm) for _ in range(dials.depth)
        )
        self.norm = norm(dials.norm, dials.width)
        self.answer = Answer(form, dials.width, dials.pool)

    def forward(self, x: Tensor) -> Tensor:
        h, there = self.reader(x)
        h, mask = self.places(h), visible(there)
        for block in self.blocks:
            h = block(h, mask)
        return self.answer(self.norm(h), there)
