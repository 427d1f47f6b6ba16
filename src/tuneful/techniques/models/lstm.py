"""LSTM: a memory that is written, kept and read through gates.

    i, f, o = sigmoid(W x_t + U h_{t-1} + b);   g = tanh(W' x_t + U' h_{t-1} + b')
    c_t = f c_{t-1} + i g;   h_t = o tanh(c_t)

Source: Hochreiter & Schmidhuber, Neural Computation 9, 1997; the forget gate: Gers et al., Neural Computation 12, 2000.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import nn

from tuneful.techniques.models.recurrent import Recurrent


class LSTM(Recurrent):
    """The usual one: it keeps what matters over some hundred places."""

    source: ClassVar[str] = "Hochreiter & Schmidhuber, Neural Computation 9, 1997"

    kind: Literal["lstm"] = "lstm"

    def layer(self, inputs: int) -> nn.Module:
        return nn.LSTM(inputs, self.width, batch_first=True)
