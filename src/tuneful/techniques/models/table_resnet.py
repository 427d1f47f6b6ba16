"""ResNet for tables: blocks that add to what they are given.

    h = W x + b;  depth times:  h = h + dropout(W2 dropout(relu(W1 norm(h))));  y = V relu(norm(h)) + c

Source: Gorishniy et al., NeurIPS 2021, arXiv:2106.11959, section 3.2; numbers may be embedded first (arXiv:2203.05556).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.core.config import Count, Positive
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.features import Embedding, Features


class TableResNet(Model):
    """For tables, where depth pays."""

    source: ClassVar[str] = "Gorishniy et al., NeurIPS 2021, arXiv:2106.11959"
    cost: ClassVar[str] = "width * (inputs + 2 * widening * depth * width + outputs) weights"

    serves: ClassVar[tuple[FormKind, ...]] = ("vector",)

    kind: Literal["table_resnet"] = "table_resnet"
    width: Count = 128  # units that run through all blocks
    depth: Count = 2  # blocks
    widening: Count = 2  # a block's inner units, in widths
    norm: Literal["batch", "layer"] = "layer"  # normalization at the head of a block
    embedding: Embedding = "none"  # of numbers, before the first layer
    embedding_size: Count = 8  # units for each number
    frequencies: Count = 16  # pieces, or waves, for each number
    sigma: Positive = 0.1  # deviation of the first waves' rates; periodic only

    def build(self, form: Form) -> nn.Module:
        """A vector of any length. Every block has two places for dropout."""
        features = Features(form.groups, form.shape[0], self.embedding, self.embedding_size, self.frequencies, self.sigma)
        blocks = [Added(self._norm(), self.width, self.width * self.widening) for _ in range(self.depth)]
        head = nn.Sequential(self._norm(), nn.ReLU(), nn.Linear(self.width, form.outputs))
        return nn.Sequential(features, nn.Linear(features.units, self.width), *blocks, head)

    def _norm(self) -> nn.Module:
        return nn.BatchNorm1d(self.width) if self.norm == "batch" else nn.LayerNorm(self.width)


class Added(nn.Module):
    """A block: what it is given, and what two layers make of it."""

    def __init__(self, norm: nn.Module, width: int, inner: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            norm, nn.Linear(width, inner), nn.ReLU(), nn.Dropout(0.0), nn.Linear(inner, width), nn.Dropout(0.0)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)
