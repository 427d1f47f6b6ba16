"""Bag: which words and word pairs a text holds, whatever their order; a vector for each, their mean, one layer.

    h_1(t) = x_t;  h_n(t) = (a h_{n-1}(t) + x_{t+n-1}) mod p;  bucket = h_n mod buckets        n = 2 .. ngrams
    v = sum over all t and n of g e(h_n(t)) / sum of g;   g = exp(s(h_n(t))), a learned weight, or 1
    depth times:  v = dropout(activation(W v + b));   y = W v + b

N-grams are hashed inside the network (a product, a sum and a remainder of whole numbers), so they travel in the exported graph and
their number is a setting like any other. Dropout leaves whole n-grams out.

Source: Joulin et al., EACL 2017, arXiv:1607.01759 (fastText); hashing: Weinberger et al., ICML 2009, arXiv:0902.2206; dropping
words: Iyyer et al., ACL 2015.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import Count, Share, Whole
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation, activation

_SMALL = 0.01  # deviation of the vectors at first
_FACTOR, _PRIME = 1_000_003, 2**31 - 1  # products stay below 2^51


class Bag(Model):
    """For texts where words count and order hardly does: topics, intents, spam, sentiment. Fast, and hard to beat with few texts."""

    source: ClassVar[str] = "Joulin et al., EACL 2017, arXiv:1607.01759"
    cost: ClassVar[str] = "(vocabulary + buckets) * width weights, width multiply-adds a token and n-gram"

    serves: ClassVar[tuple[FormKind, ...]] = ("tokens", "grams")

    kind: Literal["bag"] = "bag"
    width: Count = 64  # numbers in a word's vector
    ngrams: Count = 2  # up to so many words in a row have a vector of their own
    buckets: Count = 65536  # vectors that all n-grams share
    weigh: bool = True  # learn how much each word counts, rather than all alike
    power: Share = 0.5  # the sum is divided by the weight to this power: 1 is the mean
    depth: Whole = 0  # hidden layers after the mean
    activation: Activation = "relu"  # nonlinear function of the hidden layers

    def build(self, form: Form) -> nn.Module:
        """For tokens of any length from 1, or sets of n-grams, which are taken as they are."""
        return _Bag(self, form)


class _Bag(nn.Module):
    def __init__(self, dials: Bag, form: Form) -> None:
        super().__init__()
        self.ngrams = min(dials.ngrams, form.shape[0]) if form.kind == "tokens" else 1
        self.buckets = dials.buckets
        sizes = [form.vocabulary, *([dials.buckets + 1] if self.ngrams > 1 else [])]
        # Not nn.Embedding: an init would fill them, and what matters here is that words never met say nothing.
        self.vectors = nn.ParameterList(_SMALL * torch.randn(size, dials.width) for size in sizes)
        self.weights = nn.ParameterList(torch.zeros(size, 1) for size in sizes if dials.weigh)
        self.power = dials.power
        self.keep = nn.Dropout(0.0)
        layers: list[nn.Module] = []
        for _ in range(dials.depth):
            layers += [nn.Linear(dials.width, dials.width), activation(dials.activation), nn.Dropout(0.0)]
        self.head = nn.Sequential(*layers, nn.Linear(dials.width, form.outputs))

    def forward(self, x_BT: Tensor) -> Tensor:
        total = weight = None
        hashed, there = x_BT, x_BT != 0
        for n in range(1, self.ngrams + 1):
            if n > 1:
                hashed = (hashed[:, :-1] * _FACTOR + x_BT[:, n - 1 :]) % _PRIME
                there = there[:, :-1] & (x_BT[:, n - 1 :] != 0)
            which = min(n - 1, 1)
            at = x_BT if n == 1 else torch.where(there, hashed % self.buckets + 1, 0)
            vectors = F.embedding(at, self.vectors[which], padding_idx=0)
            g = there.to(vectors.dtype)
            if len(self.weights):
                g = g * F.embedding(at, self.weights[which], padding_idx=0).squeeze(-1).exp()
            g = self.keep(g)
            part, mass = (vectors * g.unsqueeze(-1)).sum(1), g.sum(1, keepdim=True)
            total = part if total is None else total + part
            weight = mass if weight is None else weight + mass
        assert total is not None
        assert weight is not None
        return self.head(total / weight.clamp(min=1e-6) ** self.power)
