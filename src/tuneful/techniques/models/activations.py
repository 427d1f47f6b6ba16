"""The nonlinear functions that models offer by name.

    relu max(0, x)    leaky_relu max(x, x / 100)    elu x or e^x - 1    gelu x Phi(x)    silu x sigmoid(x)
    mish x tanh(softplus(x))    hard_swish x min(max(x + 3, 0), 6) / 6    selu, sigmoid, softplus and tanh as their names say

Source: Nair & Hinton, ICML 2010 (relu); Maas et al., ICML 2013 (leaky_relu); Clevert et al., ICLR 2016 (elu); Klambauer et
al., NeurIPS 2017 (selu); Hendrycks & Gimpel 2016 (gelu, silu); Misra, BMVC 2020 (mish); Howard et al., ICCV 2019 (hard_swish).
"""

from __future__ import annotations

from typing import Literal

from torch import nn

Activation = Literal[
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "hard_swish", "softplus", "sigmoid", "tanh"
]  # fmt: skip

_TABLE: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hard_swish": nn.Hardswish,
    "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


def activation(name: Activation) -> nn.Module:
    """A new module for a name."""
    return _TABLE[name]()
