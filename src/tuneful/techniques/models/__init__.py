"""Models: what makes a network for a shape of input and a number of outputs. `check` runs one, `size` weighs it."""

from __future__ import annotations

from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.check import Size, check, size
from tuneful.techniques.models.convnet import ConvNet
from tuneful.techniques.models.linear import Linear
from tuneful.techniques.models.make import make
from tuneful.techniques.models.mlp import MLP
from tuneful.techniques.models.own import Own, with_callable

TABLE: dict[str, type[Model]] = {
    "linear": Linear,
    "mlp": MLP,
    "convnet": ConvNet,
    "own": Own,
}

__all__ = ["MLP", "TABLE", "ConvNet", "Linear", "Own", "Size", "check", "make", "size", "with_callable"]
