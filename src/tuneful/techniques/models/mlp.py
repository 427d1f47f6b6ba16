"""MLP: layers of units, each fully tied to the next.

    x flattened;  depth times:  x = dropout(activation(norm(W x + b)));  y = W x + b
    residual:     x = x + dropout(activation(norm(W x + b))) where W is square

Source: Rumelhart, Hinton & Williams, Nature 323, 1986; norms: Ioffe & Szegedy, ICML 2015, and Ba et al. 2016; residual: He et
al., CVPR 2016, arXiv:1512.03385.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation, activation


class MLP(Model):
    """For tables, and for images that are small."""

    source: ClassVar[str] = "Rumelhart, Hinton & Williams, Nature 323, 1986"
    cost: ClassVar[str] = "width * (inputs + (depth - 1) * width + outputs) weights"

    serves: ClassVar[tuple[FormKind, ...]] = ("image", "spectrogram", "vector", "series")

    kind: Literal["mlp"] = "mlp"
    width: Count = 128  # units per hidden layer
    depth: Count = 2  # hidden layers
    activation: Activation = "relu"  # nonlinear function
    norm: Literal["none", "batch", "layer"] = "none"  # normalization before the activation
    residual: bool = False  # a layer as wide as its input adds to it instead of taking its place

    def build(self, form: Form) -> nn.Module:
        """Any shape; images are flattened. Every hidden layer ends in a place for dropout."""
        layers: list[nn.Module] = [nn.Flatten()]
        units = math.prod(form.shape)
        for _ in range(self.depth):
            layer = [nn.Linear(units, self.width), *self._norm(), activation(self.activation), nn.Dropout(0.0)]
            layers += [Added(*layer)] if self.residual and units == self.width else layer
            units = self.width
        return nn.Sequential(*layers, nn.Linear(units, form.outputs))

    def _norm(self) -> list[nn.Module]:
        if self.norm == "batch":
            return [nn.BatchNorm1d(self.width)]
        return [nn.LayerNorm(self.width)] if self.norm == "layer" else []


class Added(nn.Sequential):
    """Layers whose result is added to what they were given."""

    def forward(self, input: Tensor) -> Tensor:
        return input + super().forward(input)
