"""What the models of images share: norms of maps by name, the smallest side, and which halvings a small image can afford."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.techniques.models.activations import Activation, activation

Norm = Literal["batch", "group", "layer", "none"]

SMALLEST = 4  # pixels a side: below, windows of 3 see little but the border
LARGE = 64  # pixels a side from which on a network made for photographs halves the picture at once, as it was published
GROUP = 8  # channels of a group, where they divide; at most 32 groups (Wu & He, ECCV 2018)


def norm(name: Norm, channels: int) -> nn.Module:
    """A norm of maps [B, C, H, W]: over the batch, over groups of channels, over all of them, or nothing."""
    if name == "batch":
        return nn.BatchNorm2d(channels)
    if name == "none":
        return nn.Identity()
    groups = 1 if name == "layer" else math.gcd(channels, min(32, max(1, channels // GROUP)))
    return nn.GroupNorm(groups, channels)


def window(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """A convolution that keeps the size but for its stride."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)


def unit(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1,
    *, normed: Norm = "batch", then: Activation | None = "relu",
) -> nn.Sequential:  # fmt: skip
    """Convolution, norm, activation (then; None: no activation)."""
    layers = [window(inputs, outputs, kernel, stride, groups, bias=normed == "none"), norm(normed, outputs)]
    return nn.Sequential(*layers, *([activation(then)] if then else []))


def sides(form: Form, name: str) -> tuple[int, int]:
    """(channels, shorter side) of images. Raises ModelError for images below 4x4."""
    channels, height, width = form.shape
    if min(height, width) < SMALLEST:
        raise ModelError(
            f"a {name} needs images of {SMALLEST}x{SMALLEST} or more; these are {height}x{width}", "take model=mlp"
        )
    return channels, min(height, width)


def halved(strides: tuple[int, ...], side: int) -> tuple[int, ...]:
    """The same strides for a small image: the first ones become 1 until what is left of the side is 4 or more.

    >>> halved((2, 1, 2, 2, 1, 2, 2), 32), halved((2, 2), 224)
    ((1, 1, 1, 2, 1, 2, 2), (2, 2))
    """
    kept = list(strides)
    for place, stride in enumerate(strides):
        if side >= LARGE or side // math.prod(kept) >= SMALLEST:
            break
        kept[place] = min(stride, 1)
    return tuple(kept)
