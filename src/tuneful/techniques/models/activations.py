"""The nonlinear functions that models offer by name."""

from __future__ import annotations

from typing import Literal

from torch import nn

Activation = Literal["relu", "gelu", "silu", "tanh"]

_TABLE: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


def activation(name: Activation) -> nn.Module:
    """A new module for a name."""
    return _TABLE[name]()
