"""GRU: one gate mixes the old state with a new one, another says how much of the old one the new one sees.

    r, z = sigmoid(W x_t + U h_{t-1} + b);   n = tanh(W' x_t + b' + r (U' h_{t-1} + b''))
    h_t = (1 - z) n + z h_{t-1}

Source: Cho et al., EMNLP 2014, arXiv:1406.1078; r after the product, as in cuDNN and torch.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import nn

from tuneful.techniques.models.recurrent import Recurrent


class GRU(Recurrent):
    """As an LSTM with three quarters of its weights."""

    source: ClassVar[str] = "Cho et al., EMNLP 2014, arXiv:1406.1078"

    kind: Literal["gru"] = "gru"

    def layer(self, inputs: int) -> nn.Module:
        return nn.GRU(inputs, self.width, batch_first=True)
