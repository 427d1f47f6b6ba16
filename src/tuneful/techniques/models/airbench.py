"""Airbench: the network of the fastest trainings on CIFAR-10, behind a first layer that whitens and is never trained.

    first:  conv kernel x kernel without a border, whose weights stay as they begin (init=whitening); a bias learns; f
    stage:  conv 3x3, halving by maxima, norm, f;  conv 3x3, norm, f;
            with depth 3 also  conv 3x3, norm, + what came out of the first f, f
    head:   maximum over what is left, linear without bias, times 1/9

f is GELU; norms are of the batch, without a scale of their own. As many stages as `widths` has numbers. On 32x32 with the widths of
the paper there are 2 million weights; (24, 64, 128) on 28x28 has 280,000.

Source: Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, section 3 and listing 4; the frozen
whitening layer: Page, "How to train your ResNet 8", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.core.config import Count, Counts
from tuneful.core.errors import ModelError
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model, Residual
from tuneful.techniques.models.maps import sides, window
from tuneful.techniques.models.resnet9 import Times

SCALE = 1 / 9  # of the logits
MEMORY = 0.4  # share of a batch in the running statistics of the norms
PAIRS = 2  # a direction of the patches and its opposite


class Airbench(Model):
    """For small images where the time is short; with init=whitening and muon."""

    source: ClassVar[str] = "Jordan 2024, arXiv:2404.00498"
    cost: ClassVar[str] = "as published: 2 million weights, 118e6 multiply-adds at 32x32"
    serves: ClassVar[tuple[FormKind, ...]] = ("image", "spectrogram")

    kind: Literal["airbench"] = "airbench"
    widths: Counts = (64, 256, 256)  # maps of the stages
    depth: Literal[2, 3] = 2  # convolutions of a stage; the third stands behind a short cut
    kernel: Count = 2  # pixels a side of the first windows
    frozen: bool = True  # do the first weights stay as the init made them?

    def build(self, form: Form) -> nn.Module:
        """For shape (C, H, W). Raises ModelError where the stages leave nothing of the images."""
        channels, side = sides(form, "airbench")
        left = side - self.kernel + 1
        for _ in self.widths:
            left //= 2
        if left < 1:
            raise ModelError(
                f"model.widths has {len(self.widths)} stages, each of which halves images of {form.shape[1]}x{form.shape[2]}; "
                "nothing is left",
                "take fewer stages, or model=convnet",
            )
        first = nn.Conv2d(channels, PAIRS * channels * self.kernel**2, self.kernel)
        first.weight.requires_grad_(not self.frozen)
        layers: list[nn.Module] = [nn.Sequential(first, nn.GELU())]
        channels = first.out_channels
        for wide in self.widths:
            layers.append(Stage(channels, wide, self.depth))
            channels = wide
        layers += [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(0.0), nn.Linear(channels, form.outputs, bias=False)]
        return nn.Sequential(*layers, Times(SCALE))


class Stage(nn.Module, Residual):
    """Two convolutions, or three and a short cut; the first is followed by a halving."""

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        self.first = nn.Sequential(window(inputs, outputs), nn.MaxPool2d(2), _norm(outputs), nn.GELU())
        self.second = nn.Sequential(window(outputs, outputs), _norm(outputs), nn.GELU())
        self.third = nn.Sequential(window(outputs, outputs), _norm(outputs)) if depth == 3 else None
        self.after = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.second(x)
        return y if self.third is None else self.after(x + self.third(y))

    def ends(self) -> Sequence[nn.Module]:
        """The last convolution of the branch, where there is one."""
        return [] if self.third is None else [self.third[0]]


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=MEMORY)
    norm.weight.requires_grad_(False)
    return norm
