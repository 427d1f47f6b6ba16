"""ResNet-1D: residual blocks of convolutions along time, for series and sounds.

    block   y = f(beside(x) + branch(x)),  branch: conv 8, norm, f, conv 5, norm, f, conv 3, norm
            beside: a 1x1 convolution and a norm where the number of channels changes, else a norm alone
    `depth` blocks of width, 2 width, 2 width, ... channels;  mean over time;  linear

Nothing is halved: every block sees the series at full length, and the mean over time makes it serve any length. Windows of an even
size look one moment further ahead than back. Spectrograms are read with their bands as channels.

Source: Wang et al., IJCNN 2017, arXiv:1611.06455 (width 64, three blocks); found the best of nine deep networks on 97 data sets of
the UCR archive by Fawaz et al., Data Mining and Knowledge Discovery 33, 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model, Residual
from tuneful.techniques.models.activations import Activation, activation

Windows = Annotated[tuple[Count, ...], Field(strict=False, min_length=1)]
Norm = Literal["batch", "group", "none"]


class ResNet1d(Model):
    """For series of any length whose shapes tell the class, and for sounds."""

    source: ClassVar[str] = "Wang et al., IJCNN 2017, arXiv:1611.06455"
    cost: ClassVar[str] = "width 64 and three blocks: half a million weights, as many multiply-adds a moment"
    serves: ClassVar[tuple[FormKind, ...]] = ("series", "spectrogram")

    kind: Literal["resnet1d"] = "resnet1d"
    width: Count = 64  # channels of the first block; the others have twice as many
    depth: Count = 3  # blocks
    windows: Windows = (8, 5, 3)  # moments that the convolutions of a block see
    norm: Norm = "batch"  # normalization after each convolution
    activation: Activation = "relu"  # nonlinear function

    def build(self, form: Form) -> nn.Module:
        """For [C, T] or [1, F, T] of any length from 1."""
        channels = form.shape[-2]
        blocks: list[nn.Module] = []
        for number in range(self.depth):
            wide = self.width * (1 if number == 0 else 2)
            blocks.append(Block(self, channels, wide))
            channels = wide
        head = [nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(0.0), nn.Linear(channels, form.outputs)]
        flat = [nn.Flatten(1, 2)] if form.kind == "spectrogram" else []
        return nn.Sequential(*flat, *blocks, *head)


class Block(nn.Module, Residual):
    """f(beside(x) + branch(x))."""

    def __init__(self, dials: ResNet1d, inputs: int, outputs: int) -> None:
        super().__init__()
        branch: list[nn.Module] = []
        for at, window in enumerate(dials.windows):
            branch += [
                Along(inputs if at == 0 else outputs, outputs, window, bias=dials.norm == "none"),
                _norm(dials.norm, outputs),
            ]
            branch += [activation(dials.activation)] if at + 1 < len(dials.windows) else []
        self.branch = nn.Sequential(*branch)
        narrow = [Along(inputs, outputs, 1, bias=dials.norm == "none")] if inputs != outputs else []
        self.beside = nn.Sequential(*narrow, _norm(dials.norm, outputs))
        self.after = activation(dials.activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.beside(x) + self.branch(x))

    def ends(self) -> Sequence[nn.Module]:
        """The branch's last norm, or its last convolution where there is none."""
        return [[m for m in self.branch.modules() if next(m.parameters(recurse=False), None) is not None][-1]]


class Along(nn.Conv1d):
    """A convolution along time that keeps the length, the window being of any size."""

    def __init__(self, inputs: int, outputs: int, window: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, window, bias=bias)
        self.sides = ((window - 1) // 2, window // 2)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.pad(input, self.sides))


def _norm(name: Norm, channels: int) -> nn.Module:
    if name == "batch":
        return nn.BatchNorm1d(channels)
    return nn.GroupNorm(math.gcd(channels, 8), channels) if name == "group" else nn.Identity()
