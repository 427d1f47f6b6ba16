"""ResNet-9: a residual network made for short trainings.

    first:  conv 3x3 to width, norm, activation
    stages: conv 3x3, halving by maxima, norm, activation; the maps double;
            then f(x + norm(conv(f(norm(conv(x)))))), f the activation
    head:   maximum over what is left, dropout, linear, times 1/8

On 32x32 there are three stages, the middle one without the block of two, as published (width 64; here 32 by default, for
CPUs). The size is halved while the shorter side is above 4 pixels. The halving stands before norm and activation, which then
see a quarter of the pixels, and a block's last activation behind its sum (as in airbench, Jordan 2024, arXiv:2404.00498): a
branch then ends in its norm, and a zero there is one that training can leave. The factor 1/8 keeps the first logits small.

Source: Page, "How to train your ResNet", 2018 (the winner of DAWNBench, Coleman et al. 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model, Residual
from tuneful.techniques.models.activations import Activation, activation
from tuneful.techniques.models.maps import SMALLEST, Norm, norm, sides, unit, window

STAGES = 3  # at least so many, as far as they go without a halving
SCALE = 0.125  # of the logits


class ResNet9(Model):
    """For images, where the time is short."""

    source: ClassVar[str] = "Page, How to train your ResNet, 2018"
    cost: ClassVar[str] = "width 32: 1.6 million weights, 90e6 multiply-adds at 32x32"
    serves: ClassVar[tuple[FormKind, ...]] = ("image", "spectrogram")

    kind: Literal["resnet9"] = "resnet9"
    width: Count = 32  # maps of the first convolution; each stage doubles them, up to 8 times
    norm: Norm = "batch"  # normalization before the activation
    activation: Activation = "relu"  # nonlinear function

    def build(self, form: Form) -> nn.Module:
        """For shape (C, H, W). Raises ModelError for images below 4x4."""
        channels, side = sides(form, "resnet9")
        halvings = 0
        while side >> halvings > SMALLEST:
            halvings += 1
        layers: list[nn.Module] = [unit(channels, self.width, normed=self.norm, then=self.activation)]
        channels = self.width
        for stage in range(max(STAGES, halvings)):
            wide = min(2 * channels, 8 * self.width)
            layers.append(self._halving(channels, wide, halve=stage < halvings))
            layers += [Twice(wide, self.norm, self.activation)] if stage % 2 == 0 else []
            channels = wide
        layers += [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(0.0), nn.Linear(channels, form.outputs), Times(SCALE)]
        return nn.Sequential(*layers)

    def _halving(self, inputs: int, outputs: int, halve: bool) -> nn.Module:
        layers: list[nn.Module] = [window(inputs, outputs, bias=self.norm == "none")]
        layers += [nn.MaxPool2d(2)] if halve else []
        return nn.Sequential(*layers, norm(self.norm, outputs), activation(self.activation))


class Twice(nn.Module, Residual):
    """act(x + norm(conv(act(norm(conv(x)))))): one block of ResNet's, without a change of shape."""

    def __init__(self, channels: int, normed: Norm, then: Activation) -> None:
        super().__init__()
        self.first = unit(channels, channels, normed=normed, then=then)
        self.conv, self.norm = window(channels, channels, bias=normed == "none"), norm(normed, channels)
        self.after = activation(then)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(x + self.norm(self.conv(self.first(x))))

    def ends(self) -> Sequence[nn.Module]:
        """The second norm, or the second convolution where there is none."""
        return [self.conv if isinstance(self.norm, nn.Identity) else self.norm]


class Times(nn.Module):
    """x * factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor
