"""FT-Transformer: every column becomes a token, and tokens attend to one another.

    number j: t_j = x_j w_j + b_j (or embedded);  category: t_j = row of its level + b_j;  a token of its own in front
    depth times:  t = t + attention(norm(t));  t = t + W2 (W1 n * relu(W3 n)), n = norm(t);   y = V relu(norm(t_0)) + c

Source: Gorishniy et al., NeurIPS 2021, arXiv:2106.11959, section 3.3 (pre-norm, ReGLU; their first norm is left out there, not
here).  Cost grows with the square of the columns.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import Count, Positive
from tuneful.core.errors import ModelError
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.features import Embedding, apart, embedder


class FTTransformer(Model):
    """For tables of up to some hundred columns whose numbers act together."""

    source: ClassVar[str] = "Gorishniy et al., NeurIPS 2021, arXiv:2106.11959"
    cost: ClassVar[str] = "depth * (columns^2 * width + columns * 8 * width^2) multiply-adds: several times an MLP"

    serves: ClassVar[tuple[FormKind, ...]] = ("vector",)

    kind: Literal["ft_transformer"] = "ft_transformer"
    width: Count = 64  # units of a token; a multiple of heads
    depth: Count = 2  # blocks
    heads: Count = 4  # of attention
    widening: Positive = 1.33  # inner units of a block, in widths
    embedding: Embedding = "none"  # of numbers; none: a line for each
    frequencies: Count = 16  # pieces, or waves, for each number
    sigma: Positive = 0.1  # deviation of the first waves' rates; periodic only

    def build(self, form: Form) -> nn.Module:
        """A vector of any length; without groups every feature is a number. Blocks have places for dropout."""
        if self.width % self.heads:
            raise ModelError(
                f"model.width is {self.width} and model.heads {self.heads}; the width must be a multiple of the heads",
                f"take width={self.heads * max(1, round(self.width / self.heads))}",
            )
        tokens = Tokens(form, self)
        blocks = [Block(self.width, self.heads, max(1, round(self.width * self.widening))) for _ in range(self.depth)]
        return nn.Sequential(
            tokens, *blocks, First(), nn.LayerNorm(self.width), nn.ReLU(), nn.Linear(self.width, form.outputs)
        )


class Tokens(nn.Module):
    """[B, D] as [B, 1 + columns, width]."""

    numbers: Tensor

    def __init__(self, form: Form, plan: FTTransformer) -> None:
        super().__init__()
        numbers, self.spans = apart(form.groups, form.shape[0])
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64))
        bound, levels = plan.width**-0.5, sum(b - a for a, b in self.spans)
        self.embed = embedder(len(numbers), plan.embedding, plan.width, plan.frequencies, plan.sigma)
        self.slopes = nn.Parameter(
            torch.empty(len(numbers) if plan.embedding == "none" else 0, plan.width).uniform_(-bound, bound)
        )
        self.levels = nn.Parameter(torch.empty(levels, plan.width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(1 + len(numbers) + len(self.spans), plan.width).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        parts = [torch.zeros_like(x[:, :1, None]).expand(-1, 1, self.bias.shape[1])]
        if len(self.numbers):
            chosen = self.embed(x.index_select(1, self.numbers))
            parts.append(chosen.unsqueeze(-1) * self.slopes if len(self.slopes) else chosen)
        at = 0
        for a, b in self.spans:
            parts.append((x[:, a:b] @ self.levels[at : at + b - a]).unsqueeze(1))
            at += b - a
        return torch.cat(parts, dim=1) + self.bias


class Block(nn.Module):
    """Attention, then a gated layer, each added to what it is given."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read, self.write = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.gate, self.out = nn.Linear(width, 2 * inner), nn.Linear(inner, width)
        self.dropout = nn.Dropout(0.0)

    def forward(self, t: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.read(self.before(t)).chunk(3, dim=-1)
        )
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        t = t + self.dropout(self.write(seen))
        value, gate = self.gate(self.between(t)).chunk(2, dim=-1)
        return t + self.out(self.dropout(value * F.relu(gate)))


class First(nn.Module):
    """The token in front, [B, T, width] as [B, width]."""

    def forward(self, t: Tensor) -> Tensor:
        return t[:, 0]
