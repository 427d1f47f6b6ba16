"""TabM: several MLPs for tables that share their weights and differ in thin scales; their mean answers.

    h = features(x);  member k = 1 .. K:  h_k = s_k * h;  depth times:  h_k = dropout(relu(W h_k + b));  y_k = V_k h_k + c_k

W and b are shared, s_k (signs at first), V_k and c_k are each member's own. While it trains every member answers and is
judged by itself ([B * K, L], a member after the other for each example); afterwards y is the mean of the K. members=1 is an
MLP with embedded numbers.
Source: Gorishniy, Kotelnikov & Babenko, ICLR 2025, arXiv:2410.24210 (TabM-mini); Wen et al., ICLR 2020, arXiv:2002.06715.
"""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from tuneful.core.config import Count, Positive, Whole
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation, activation
from tuneful.techniques.models.features import Embedding, Features


class TabM(Model):
    """For tables: an ensemble at little more than the cost of one network."""

    source: ClassVar[str] = "Gorishniy, Kotelnikov & Babenko, ICLR 2025, arXiv:2410.24210"
    cost: ClassVar[str] = "the weights of one MLP; about `members` times its multiply-adds"

    serves: ClassVar[tuple[FormKind, ...]] = ("vector",)
    looks: ClassVar[int] = 100_000
    stackable: ClassVar[str] = "its members answer one by one while it trains: it is a stack already"

    kind: Literal["tabm"] = "tabm"
    members: Count = 8  # MLPs that share their weights
    width: Count = 256  # units per hidden layer
    depth: Count = 2  # hidden layers
    activation: Activation = "relu"  # nonlinear function
    embedding: Embedding = "piecewise"  # of numbers, before the first layer
    embedding_size: Count = 8  # units for each number
    frequencies: Count = 16  # pieces, or waves, for each number
    sigma: Positive = 0.1  # deviation of the first waves' rates; periodic only
    spikes: Whole = 0  # values of a number that recur in train and are known by themselves, beside its embedding, at most

    def look_(self, net: nn.Module, x: Tensor) -> None:
        """Which values of the numbers recur."""
        cast("Members", net).features.look_(x)

    def build(self, form: Form) -> nn.Module:
        """A vector of any length. Every hidden layer ends in a place for dropout."""
        features = Features(
            form.groups, form.shape[0], self.embedding, self.embedding_size, self.frequencies, self.sigma, self.spikes
        )
        layers: list[nn.Module] = []
        units = features.units
        for _ in range(self.depth):
            layers += [nn.Linear(units, self.width), activation(self.activation), nn.Dropout(0.0)]
            units = self.width
        return Members(features, nn.Sequential(*layers), units, form.outputs, self.members)


class Members(nn.Module):
    """Features and layers that all members share, with what is each member's own before and behind them."""

    def __init__(self, features: Features, layers: nn.Module, units: int, outputs: int, members: int) -> None:
        super().__init__()
        self.features, self.layers = features, layers
        signs = torch.randint(0, 2, (members, features.units)).float() * 2 - 1
        self.signs = nn.Parameter(signs if members > 1 else torch.ones_like(signs))
        bound = units**-0.5
        self.weight = nn.Parameter(torch.empty(members, units, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, x: Tensor) -> Tensor:
        h = self.layers(self.features(x).unsqueeze(1) * self.signs)
        answers = torch.einsum("bku,kul->bkl", h, self.weight) + self.bias
        return answers.flatten(0, 1) if self.training else answers.mean(dim=1)
