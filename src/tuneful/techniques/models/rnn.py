"""RNN: a state that is mixed anew with every place.

    h_t = tanh(W x_t + U h_{t-1} + b), or a rectifier

Source: Elman, Cognitive Science 14, 1990.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import nn

from tuneful.techniques.models.recurrent import Recurrent


class RNN(Recurrent):
    """The simplest; it forgets within some ten places."""

    source: ClassVar[str] = "Elman, Cognitive Science 14, 1990"

    kind: Literal["rnn"] = "rnn"
    activation: Literal["tanh", "relu"] = "tanh"  # nonlinear function

    def layer(self, inputs: int) -> nn.Module:
        return nn.RNN(inputs, self.width, nonlinearity=self.activation, batch_first=True)
