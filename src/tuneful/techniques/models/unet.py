"""U-Net: down to a coarse picture that knows what is there, and up again with the fine ones beside it that know where.

    down    `depth` times: convolutions, then the size is halved by taking maxima; maps double from level to level
    up      `depth` times: a 2x2 up-convolution doubles the size, the map of the same size from the way down is put beside it,
            convolutions
    head    a 1x1 convolution: a logit a class at every pixel, [B, L, H, W]

The published network cuts borders off and answers for a smaller picture; here convolutions keep the size, and norms, which came
later, stand before the activations. An image whose sides cannot be halved so often is filled up with its nearest pixels inside,
and the answer is cut out again; small images are halved less often, so that 2 pixels a side are left.

Source: Ronneberger et al., MICCAI 2015, arXiv:1505.04597; the size kept and norms added: Çiçek et al., MICCAI 2016,
arXiv:1606.06650.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import Count
from tuneful.core.errors import ModelError
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation
from tuneful.techniques.models.maps import Norm, sides, unit


class UNet(Model):
    """For a class at each pixel of images of any size from 4x4."""

    source: ClassVar[str] = "Ronneberger et al., MICCAI 2015, arXiv:1505.04597"
    cost: ClassVar[str] = "about 100 * pixels * width^2 * convolutions multiply-adds an image, a third of them at full size"
    serves: ClassVar[tuple[FormKind, ...]] = ("image",)
    places: ClassVar[bool] = True

    kind: Literal["unet"] = "unet"
    width: Count = 16  # maps of the first level; 64 as published
    depth: Count = 4  # how often the size is halved, where the image is large enough
    convolutions: Count = 2  # of each level, on the way down and on the way up
    norm: Norm = "batch"  # normalization before the activation
    activation: Activation = "relu"  # nonlinear function

    def build(self, form: Form) -> nn.Module:
        """For shape (C, H, W). Raises ModelError for images below 4x4, and where one answer an image is wanted."""
        if form.each != "place":
            raise ModelError(
                "model.unet answers at each pixel; this task wants one answer an image", "take model=convnet or model=resnet"
            )
        channels, side = sides(form, "unet")
        depth = min(self.depth, side.bit_length() - 2)
        return _UNet(self, channels, depth, form.outputs)


class _UNet(nn.Module):
    def __init__(self, dials: UNet, channels: int, depth: int, outputs: int) -> None:
        super().__init__()
        widths = [dials.width * 2**level for level in range(depth + 1)]

        def level(inputs: int, wide: int) -> nn.Sequential:
            counts = [inputs, *[wide] * dials.convolutions]
            return nn.Sequential(*(unit(a, b, normed=dials.norm, then=dials.activation) for a, b in pairwise(counts)))

        self.multiple = 2**depth
        self.down = nn.ModuleList(level(a, b) for a, b in pairwise([channels, *widths]))
        self.drop = nn.Dropout(0.0)
        back = widths[::-1]
        self.larger = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairwise(back))
        self.up = nn.ModuleList(level(2 * wide, wide) for wide in back[1:])
        self.head = nn.Conv2d(dials.width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        down, across = -H % self.multiple, -W % self.multiple
        top, left = down // 2, across // 2
        if down or across:
            x = F.pad(x, (left, across - left, top, down - top), mode="replicate")
        beside: list[Tensor] = []
        for level in self.down:
            x = level(F.max_pool2d(beside[-1], 2) if beside else x)
            beside.append(x)
        x = self.drop(beside.pop())
        for larger, level in zip(self.larger, self.up, strict=True):
            x = level(torch.cat([beside.pop(), larger(x)], dim=1))
        return self.head(x)[:, :, top : top + H, left : left + W]
