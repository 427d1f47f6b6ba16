"""ResNet: blocks that add to what enters them, so that depth does not stand in the gradient's way.

    basic       y = f(x' + norm(conv3(f(norm(conv3(x))))))            bottleneck: conv1, conv3, conv1 with 4 times the maps
    pre-act     y = x' + conv3(f(norm(conv3(f(norm(x))))))            x': x, or a 1x1 convolution of it where the shape changes

    depth   8  14  20  32  44  56   three stages of basic blocks, as on CIFAR (width 16 there)
            10 18 34                four stages of basic blocks, as on ImageNet (width 64);  26, 50: of bottlenecks

Maps double from stage to stage while the picture is halved. Small images (shorter side below 64) begin with one 3x3
convolution; larger ones with 7x7 of stride 2 and a maximum over 3x3 of stride 2, as published. The stride of a bottleneck
stands in its 3x3 convolution (ResNet "v1.5"), as in torchvision.

Source: He et al., CVPR 2016, arXiv:1512.03385; pre-activation: He et al., ECCV 2016, arXiv:1603.05027.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from tuneful.core.config import Auto, Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model, Residual
from tuneful.techniques.models.activations import Activation, activation
from tuneful.techniques.models.maps import LARGE, Norm, halved, norm, sides, window

Depth = Literal[8, 10, 14, 18, 20, 26, 32, 34, 44, 50, 56]

STAGES: dict[int, tuple[int, ...]] = {
    **{6 * n + 2: (n, n, n) for n in (1, 2, 3, 5, 7, 9)},
    10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 26: (2, 2, 2, 2), 50: (3, 4, 6, 3),
}  # fmt: skip
BOTTLENECKS = (26, 50)
WIDER = 4  # the last convolution of a bottleneck, in widths of the others


class ResNet(Model):
    """For images of any size from 4x4, where there is time for more than a convnet."""

    source: ClassVar[str] = "He et al., CVPR 2016, arXiv:1512.03385"
    cost: ClassVar[str] = "18 layers of width 64: 11 million weights, 0.56e9 multiply-adds at 32x32, 1.8e9 at 224x224"
    serves: ClassVar[tuple[FormKind, ...]] = ("image", "spectrogram")

    kind: Literal["resnet"] = "resnet"
    depth: Depth = 18  # layers: three stages of basic blocks (8 14 20 32 44 56), four (10 18 34), of bottlenecks (26 50)
    width: Count = 64  # maps of the first stage
    order: Literal["post", "pre"] = "post"  # norm and activation after each convolution, or before it
    stem: Literal["small", "large"] | Auto = "auto"  # 3x3, or 7x7 and a pooling; auto: large from 64 pixels a side
    norm: Norm = "batch"  # normalization of the maps
    activation: Activation = "relu"  # nonlinear function

    def build(self, form: Form) -> nn.Module:
        """For shape (C, H, W). Raises ModelError for images below 4x4."""
        channels, side = sides(form, "resnet")
        large = side >= LARGE if self.stem == "auto" else self.stem == "large"
        counts = STAGES[self.depth]
        strides = (1, *halved((2,) * (len(counts) - 1), side))
        layers: list[nn.Module] = [self._conv(channels, self.width, *((7, 2) if large else (3, 1)))]
        layers += self._closed(self.width) if self.order == "post" else []
        layers += [nn.MaxPool2d(3, 2, padding=1)] if large else []
        channels = self.width
        for stage, (blocks, stride) in enumerate(zip(counts, strides, strict=True)):
            for number in range(blocks):
                block = self._block(channels, self.width * 2**stage, stride if number == 0 else 1)
                layers.append(block)
                channels = block.channels
        layers += self._closed(channels) if self.order == "pre" else []
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.0), nn.Linear(channels, form.outputs)]
        return nn.Sequential(*layers)

    def _conv(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
        return window(inputs, outputs, kernel, stride, bias=self.norm == "none")

    def _closed(self, channels: int) -> list[nn.Module]:
        return [norm(self.norm, channels), activation(self.activation)]

    def _block(self, inputs: int, maps: int, stride: int) -> Block:
        outputs = maps * (WIDER if self.depth in BOTTLENECKS else 1)
        convs = [self._conv(inputs, maps, 1), self._conv(maps, maps, 3, stride), self._conv(maps, outputs, 1)]
        if self.depth not in BOTTLENECKS:
            convs = [self._conv(inputs, maps, 3, stride), self._conv(maps, outputs, 3)]
        changes = stride > 1 or inputs != outputs
        if self.order == "pre":
            branch = [layer for conv in convs for layer in (*self._closed(conv.in_channels), conv)]
            # Where the shape changes, the first norm and activation stand before both ways, as in the authors' code.
            shared, branch = (branch[:2], branch[2:]) if changes else ([], branch)
            beside = self._conv(inputs, outputs, 1, stride) if changes else nn.Identity()
            return Block(shared, branch, beside, nn.Identity(), outputs)
        branch = [layer for conv in convs for layer in (conv, *self._closed(conv.out_channels))][:-1]
        beside = (
            nn.Sequential(self._conv(inputs, outputs, 1, stride), norm(self.norm, outputs)) if changes else nn.Identity()
        )
        return Block([], branch, beside, activation(self.activation), outputs)


class Block(nn.Module, Residual):
    """after(beside(x') + branch(x')), x' = shared(x); `channels` says how many maps it gives."""

    def __init__(
        self, shared: list[nn.Module], branch: list[nn.Module], beside: nn.Module, after: nn.Module, channels: int
    ) -> None:
        super().__init__()
        self.shared, self.branch = nn.Sequential(*shared), nn.Sequential(*branch)
        self.beside, self.after, self.channels = beside, after, channels

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(x)
        return self.after(self.beside(x) + self.branch(x))

    def ends(self) -> Sequence[nn.Module]:
        """The branch's last norm, or its last convolution where that is the end (pre-activation, no norm)."""
        return [[m for m in self.branch if next(m.parameters(recurse=False), None) is not None][-1]]
