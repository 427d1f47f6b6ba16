"""Colour: brightness, contrast, saturation and hue of each image, in one matrix product.

    x'(pixel) = c A x(pixel) + (1 - c) m + b,   A = R(h) (s I + (1 - s) J / 3),   J all ones
    b ~ U(-brightness, brightness);  c ~ U(1 - contrast, 1 + contrast);  s ~ U(1 - saturation, 1 + saturation)
    h ~ U(-hue, hue) degrees;  R(h) turns the colours about the grey axis (1, 1, 1);  m = the mean of A x over the image

Everything acts on normalized images, so b is in deviations, grey is where all channels are equal after normalization, and
nothing is cut off at black or white. Images that have not three channels keep their colours: only b and c act.

Source: Haeberli, "Matrix operations for image processing", 1993 (saturation and hue as matrices); Howard, 2013,
arXiv:1312.5402 (random contrast, brightness and colour).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import NonNegative, Share
from tuneful.core.form import FormKind
from tuneful.techniques.augments.images import require_images
from tuneful.techniques.augments.rotate import Degrees
from tuneful.techniques.interfaces import Augment


class Colour(Augment):
    """The light differs from picture to picture."""

    source: ClassVar[str] = "Howard, 2013, arXiv:1312.5402"
    cost: ClassVar[str] = "one copy of the batch and a product with a 3x3 matrix per pixel"
    serves: ClassVar[tuple[FormKind, ...]] = ("image",)

    kind: Literal["colour"] = "colour"
    brightness: NonNegative = 0.2  # largest change of all values, in deviations of the data
    contrast: Share = 0.2  # largest change of the distance from the image's mean, as a share
    saturation: Share = 0.2  # largest change of the distance from grey, as a share; three channels only
    hue: Degrees = 5.0  # largest turn of the colours about grey, in degrees; three channels only

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """Four numbers for each image."""
        B, _, _, _ = require_images(shape, self.kind)
        b, c, s, h = 2 * torch.rand(4, B, generator=dice) - 1
        colours = saturated(1 + self.saturation * s)
        return {
            "turn": turned(h * math.radians(self.hue)) @ colours,
            "contrast": 1 + self.contrast * c,
            "brightness": self.brightness * b,
        }

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Every image of [B, C, H, W] in another light; p is given back as it is."""
        return recoloured(x, drawn["turn"], drawn["contrast"], drawn["brightness"]), p


def saturated(share_B: Tensor) -> Tensor:
    """Matrices [B, 3, 3] that move colours along their distance from grey: 0 makes grey, 1 changes nothing."""
    return share_B[:, None, None] * torch.eye(3) + (1 - share_B[:, None, None]) / 3


def turned(angle_B: Tensor) -> Tensor:
    """Matrices [B, 3, 3] that turn colours about the grey axis by angles in radians; 120 degrees sends red to green."""
    cos, sin = angle_B.cos()[:, None, None], angle_B.sin()[:, None, None] / math.sqrt(3)
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    return cos * torch.eye(3) + (1 - cos) / 3 + sin * cross


def recoloured(x_BCHW: Tensor, turn_B33: Tensor, contrast_B: Tensor, brightness_B: Tensor) -> Tensor:
    """c A x + (1 - c) m + b; A counts for three channels only. The draws may lie on the CPU; x is not modified."""
    C = x_BCHW.shape[1]
    turn, contrast, brightness = (one.to(x_BCHW.device, x_BCHW.dtype) for one in (turn_B33, contrast_B, brightness_B))
    middle_BC1 = x_BCHW.flatten(2).mean(2, keepdim=True)
    if C == 3:
        middle_BC1 = turn @ middle_BC1
    rest_B11 = (1 - contrast)[:, None, None] * middle_BC1.mean(1, keepdim=True) + brightness[:, None, None]
    if C == 3:
        return torch.baddbmm(rest_B11, contrast[:, None, None] * turn, x_BCHW.flatten(2)).reshape(x_BCHW.shape)
    return torch.addcmul(rest_B11[..., None], contrast[:, None, None, None], x_BCHW)
