"""ConvNet: small windows that look everywhere; the picture shrinks while its channels grow.

    stage:  depth times conv 3x3, norm, activation; then the size is halved by taking maxima
    stages follow while the shorter side is above 4 pixels; where that gives fewer than three, one more without halving;
    the channels double from stage to stage, up to 4 * width;
    head:   mean over the picture, dropout, linear

8x8 digits get two stages, 28x28 and 32x32 three. The first convolution of a stage is followed by the halving at once, so
that norm and activation see a quarter of the pixels (as in airbench, Jordan 2024, arXiv:2404.00498). With halve = "late" a stage
ends in its halving, and the last one has none: four times the work a weight, on finer pictures.

Source: LeCun et al., Proc. IEEE 86, 1998; 3x3 windows and doubling: Simonyan & Zisserman, ICLR 2015, arXiv:1409.1556; the
mean over the picture: Lin et al., ICLR 2014, arXiv:1312.4400.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import nn

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation, activation
from tuneful.techniques.models.maps import SMALLEST, Norm, norm, sides

STAGES = 3  # from which on no stage without halving is added
GROWTH = 4  # the widest stage, in widths of the first


class ConvNet(Model):
    """For images of any size from 4x4; a good model in a minute on two cores."""

    source: ClassVar[str] = "LeCun et al., Proc. IEEE 86, 1998; Simonyan & Zisserman, ICLR 2015"
    cost: ClassVar[str] = "about 9 * (pixels) * width * (channels + width * depth) multiply-adds an image"

    serves: ClassVar[tuple[FormKind, ...]] = ("image", "spectrogram")

    kind: Literal["convnet"] = "convnet"
    width: Count = 32  # channels of the first stage
    depth: Count = 2  # convolutions per stage
    norm: Norm = "batch"  # normalization before the activation
    activation: Activation = "relu"  # nonlinear function
    halve: Literal["early", "late"] = "early"  # behind the first convolution of a stage, or at its end

    def build(self, form: Form) -> nn.Module:
        """For shape (C, H, W). Raises ModelError for images below 4x4."""
        channels, side = sides(form, "convnet")
        halvings = 0
        while side >> halvings > SMALLEST:
            halvings += 1
        blocks: list[nn.Module] = []
        for stage in range(halvings + (halvings < STAGES)):
            wide = min(2**stage, GROWTH) * self.width
            for number in range(self.depth):
                early = self.halve == "early" and stage < halvings and number == 0
                blocks.append(self._block(channels, wide, halve=early))
                channels = wide
            if self.halve == "late" and stage < halvings - 1:
                blocks.append(nn.MaxPool2d(2))
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.0), nn.Linear(channels, form.outputs)]
        return nn.Sequential(*blocks, *head)

    def _block(self, inputs: int, outputs: int, halve: bool) -> nn.Module:
        layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=self.norm == "none")]
        if halve:
            layers.append(nn.MaxPool2d(2))
        if self.norm != "none":
            layers.append(norm(self.norm, outputs))
        return nn.Sequential(*layers, activation(self.activation))
