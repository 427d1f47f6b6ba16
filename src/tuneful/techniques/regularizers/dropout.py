"""Dropout: every unit is left out at random, so that none can rely on another.

    training:  x' = x * mask / (1 - rate), mask ~ Bernoulli(1 - rate);        afterwards:  x' = x

    standard   a mask for every number
    channel    a mask for every example and place along axis 1: whole channels of images and series
    gaussian   x' = x (1 + n sqrt(rate / (1 - rate))), n ~ Normal(0, 1): the same mean and variance, nothing is zero
    alpha      what is left out takes the lowest value of SELU, and an affine map keeps mean and variance

The network has places for it: every dropout module, of any dimension, gets this rate, and the module of another form in its
place where one is asked for (our models have them with rate 0).

Source: Srivastava et al., JMLR 15, 2014 (gaussian: section 10); channel: Tompson et al., CVPR 2015, arXiv:1411.4280;
alpha: Klambauer et al., NIPS 2017, arXiv:1706.02515.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import Fraction
from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Regularizer


class ChannelDropout(nn.Module):
    """Leaves out whole channels: x is [B, C, ...] of any number of axes from two on."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * F.dropout(x.new_ones(*x.shape[:2], *[1] * (x.ndim - 2)), self.p, training=True)


class GaussianDropout(nn.Module):
    """Multiplies by Gaussian noise of mean 1."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * (1.0 + torch.randn_like(x) * (self.p / (1.0 - self.p)) ** 0.5)


PLACES = (
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, ChannelDropout, GaussianDropout,
)  # fmt: skip
FORMS: dict[str, type[nn.Module]] = {"channel": ChannelDropout, "gaussian": GaussianDropout, "alpha": nn.AlphaDropout}


class Dropout(Regularizer):
    """Many thinned networks trained as one."""

    source: ClassVar[str] = "Srivastava et al., JMLR 15, 2014"
    cost: ClassVar[str] = "one mask and one product per place and step; nothing afterwards"

    kind: Literal["dropout"] = "dropout"
    rate: Fraction = 0.2  # share of the units left out
    form: Literal["standard", "channel", "gaussian", "alpha"] = "standard"  # standard: as the network has it

    def prepare(self, net: nn.Module) -> None:
        """Set the rate of every place, and its form. Raises ModelError when the network has none."""
        places = [(name, module) for name, module in net.named_modules() if isinstance(module, PLACES)]
        if not places:
            raise ModelError(
                f"dropout.rate is {self.rate:g}, but the network has no nn.Dropout module that could take it",
                "leave dropout out, or put nn.Dropout(0.0) where units may be left out",
            )
        for name, place in places:
            if self.form == "standard":
                place.p = self.rate
            elif name:
                net.set_submodule(name, FORMS[self.form](self.rate))
