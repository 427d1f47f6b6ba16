"""Dropout: every unit is left out at random, so that none can rely on another.

    training:  x' = x * mask / (1 - rate), mask ~ Bernoulli(1 - rate);        afterwards:  x' = x

The network has places for it: every nn.Dropout module, of any dimension, gets this rate (our models have them with rate 0).

Source: Srivastava et al., JMLR 15, 2014.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import nn

from tuneful.core.config import Fraction
from tuneful.core.errors import ModelError
from tuneful.techniques.interfaces import Regularizer

PLACES = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class Dropout(Regularizer):
    """Many thinned networks trained as one."""

    source: ClassVar[str] = "Srivastava et al., JMLR 15, 2014"
    cost: ClassVar[str] = "one mask and one product per place and step; nothing afterwards"

    kind: Literal["dropout"] = "dropout"
    rate: Fraction = 0.2  # share of the units left out

    def prepare(self, net: nn.Module) -> None:
        """Set the rate of every place. Raises ModelError when the network has none."""
        places = [module for module in net.modules() if isinstance(module, PLACES)]
        if not places:
            raise ModelError(
                f"dropout.rate is {self.rate:g}, but the network has no nn.Dropout module that could take it",
                "leave dropout out, or put nn.Dropout(0.0) where units may be left out",
            )
        for place in places:
            place.p = self.rate
