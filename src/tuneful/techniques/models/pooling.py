"""Attention pooling: a learned weight for every place, and the mean by these weights.

    a_t = softmax_t(q . tanh(W h_t));   v = sum_t a_t h_t;   y = W' dropout(v) + b        h_t: the vector of place t

Where each place has an answer, a layer of units takes the place of the mean.

Source: Bahdanau et al., ICLR 2015, arXiv:1409.0473; as pooling: Yang et al., NAACL 2016.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation, activation
from tuneful.techniques.models.sequence import SEQUENCES, Answer, Reader


class Attention(Model):
    """A bag that learns which places matter; order does not count."""

    source: ClassVar[str] = "Yang et al., NAACL 2016"
    cost: ClassVar[str] = "(vocabulary + depth * width) * width weights, width^2 multiply-adds a place and layer"
    serves: ClassVar[tuple[FormKind, ...]] = SEQUENCES
    places: ClassVar[bool] = True
    causal: ClassVar[bool] = True

    kind: Literal["attention"] = "attention"
    width: Count = 128  # numbers in the vector of a place
    depth: Count = 1  # layers of units at each place
    activation: Activation = "relu"  # nonlinear function

    def build(self, form: Form) -> nn.Module:
        """For sequences of any length from 1."""
        return _Attention(self, form)


class _Attention(nn.Module):
    def __init__(self, dials: Attention, form: Form) -> None:
        super().__init__()
        self.reader = Reader(form, dials.width)
        layers: list[nn.Module] = []
        for _ in range(dials.depth):
            layers += [nn.Linear(dials.width, dials.width), activation(dials.activation), nn.Dropout(0.0)]
        self.layers = nn.Sequential(*layers)
        self.answer = Answer(form, dials.width, "attention")

    def forward(self, x: Tensor) -> Tensor:
        h, there = self.reader(x)
        return self.answer(self.layers(h), there)
