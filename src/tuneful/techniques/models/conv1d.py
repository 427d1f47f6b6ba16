"""Conv1d: small windows that slide along a sequence, each layer with a wider look where windows are spread.

    depth times:  h = h + dropout(activation(norm(conv(h))));  the step within a window doubles from layer to layer, or is 1
    the maxima over all places (or mean, or learned weights);  linear

What fills up is zero before every convolution, so that it changes nothing. Where the answer is what comes next, windows end at
their own place.

Source: Kim, EMNLP 2014, arXiv:1408.5882 (text); Bai et al. 2018, arXiv:1803.01271 (steps that double, windows that look back).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation, activation
from tuneful.techniques.models.sequence import SEQUENCES, Answer, Pool, Reader


class Conv1d(Model):
    """For texts and series in which what counts stands close together."""

    source: ClassVar[str] = "Kim, EMNLP 2014, arXiv:1408.5882; Bai et al. 2018, arXiv:1803.01271"
    cost: ClassVar[str] = "depth * window * width^2 weights, as many multiply-adds a place"
    serves: ClassVar[tuple[FormKind, ...]] = SEQUENCES
    places: ClassVar[bool] = True
    causal: ClassVar[bool] = True

    kind: Literal["conv1d"] = "conv1d"
    width: Count = 64  # channels
    depth: Count = 3  # convolutions
    window: Count = 3  # places that one sees
    spread: bool = True  # does the step within the window double from layer to layer?
    norm: Literal["layer", "batch", "none"] = "layer"  # normalization before the activation
    activation: Activation = "relu"  # nonlinear function
    pool: Pool = "max"  # what is made of all places where there is one answer

    def build(self, form: Form) -> nn.Module:
        """For sequences of any length from 1."""
        return _Conv1d(self, form)


class _Layer(nn.Module):
    def __init__(self, dials: Conv1d, step: int, causal: bool) -> None:
        super().__init__()
        reach = step * (dials.window - 1)
        self.sides = (reach, 0) if causal else (reach // 2, reach - reach // 2)
        self.conv = nn.Conv1d(dials.width, dials.width, dials.window, dilation=step)
        norms = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "none": nn.Identity}
        self.norm, self.over = norms[dials.norm](dials.width), dials.norm
        self.rest = nn.Sequential(activation(dials.activation), nn.Dropout(0.0))

    def forward(self, h_BTD: Tensor) -> Tensor:
        h_BDT = self.conv(F.pad(h_BTD.transpose(1, 2), self.sides))
        if self.over == "batch":
            return self.rest(self.norm(h_BDT)).transpose(1, 2)
        return self.rest(self.norm(h_BDT.transpose(1, 2)))


class _Conv1d(nn.Module):
    def __init__(self, dials: Conv1d, form: Form) -> None:
        super().__init__()
        self.reader = Reader(form, dials.width)
        self.layers = nn.ModuleList(_Layer(dials, 2**at if dials.spread else 1, form.causal) for at in range(dials.depth))
        self.answer = Answer(form, dials.width, dials.pool)

    def forward(self, x: Tensor) -> Tensor:
        h, there = self.reader(x)
        mask = there.unsqueeze(-1)
        for layer in self.layers:
            h = (h + layer(h)) * mask
        return self.answer(h, there)
