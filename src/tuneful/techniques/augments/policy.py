"""What RandAugment and TrivialAugment share: twelve operations on images, each with a strength in [0, 1].

    identity   rotate   shift x, y   shear x, y   brightness   contrast   saturation   sharpness   posterize   solarize

All operations that fell to an image are gathered before a pixel is touched: moves into one map (`affine`), light and
colours into one matrix (`colour`), then sharpness, posterize and solarize, each on the images that drew it. So each image is
resampled once at most, and the order of operations is this one rather than that of the draw.

Posterize and solarize need black and white, which normalized images have lost; they take the image's own lowest and highest
value. Autocontrast and equalize, which the papers have too, are left out: they would undo what is measured in deviations.

Source: Cubuk et al., CVPR workshops 2020, arXiv:1909.13719, and Müller & Hutter, ICCV 2021, arXiv:2103.10158, for operations
and ranges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tuneful.techniques.augments.affine import compose, identity, resampled
from tuneful.techniques.augments.colour import recoloured, saturated
from tuneful.techniques.augments.rotate import rotation

OPERATIONS = (
    "identity", "rotate", "shift x", "shift y", "shear x", "shear y", "brightness", "contrast", "saturation", "sharpness",
    "posterize", "solarize",
)  # fmt: skip


@dataclass(frozen=True)
class Ranges:
    """What strength 1 means."""

    degrees: float  # of a turn
    shift: float  # share of the side
    shear: float  # pixels across for each pixel along
    light: float  # brightness in deviations; contrast, saturation and sharpness as shares
    bits: float  # that posterize takes from 8


def gather(chosen_Bn: Tensor, strength_Bn: Tensor, ranges: Ranges, H: int, W: int) -> dict[str, Tensor]:
    """The parameters of each image's operations, from their numbers in OPERATIONS and their strengths in [-1, 1]; operations
    without a sign take the amount of their strength."""
    B, n = chosen_Bn.shape
    matrix, colours = identity(B), torch.eye(3).repeat(B, 1, 1)
    contrast, brightness, sharp = torch.ones(B), torch.zeros(B), torch.ones(B)
    bits, solar = torch.zeros(B), torch.zeros(B)
    for k in range(n):
        s = {name: strength_Bn[:, k] * (chosen_Bn[:, k] == at) for at, name in enumerate(OPERATIONS)}
        move = rotation(s["rotate"] * math.radians(ranges.degrees))
        move[:, 0, 1] += s["shear x"] * ranges.shear
        move[:, 1, 0] += s["shear y"] * ranges.shear
        move[:, 0, 2] = -s["shift x"] * ranges.shift * W
        move[:, 1, 2] = -s["shift y"] * ranges.shift * H
        matrix = compose(matrix, move)
        colours = saturated(1 + ranges.light * s["saturation"]) @ colours
        brightness = brightness + ranges.light * s["brightness"]
        contrast = contrast * (1 + ranges.light * s["contrast"])
        sharp = sharp * (1 + ranges.light * s["sharpness"])
        bits = torch.maximum(bits, ranges.bits * s["posterize"].abs())
        solar = torch.maximum(solar, s["solarize"].abs())
    return {
        "matrix": matrix, "turn": colours, "contrast": contrast, "brightness": brightness, "sharp": sharp,
        "bits": bits.round(), "solar": solar,
    }  # fmt: skip


def carry_out(x_BCHW: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
    """The images after their operations, a new tensor; images that drew none of a sort keep their values to the last bit."""
    B = len(x_BCHW)
    moved = (drawn["matrix"] != identity(1)).flatten(1).any(1)
    lit = (drawn["contrast"] != 1) | (drawn["brightness"] != 0) | (drawn["turn"] != torch.eye(3)).flatten(1).any(1)
    steps: list[tuple[Tensor, Callable[..., Tensor], tuple[str, ...]]] = [
        (moved, lambda x, matrix: resampled(x, matrix, exact=False), ("matrix",)),
        (lit, recoloured, ("turn", "contrast", "brightness")),
        (drawn["sharp"] != 1, sharpened, ("sharp",)),
        (drawn["bits"] > 0, posterized, ("bits",)),
        (drawn["solar"] > 0, solarized, ("solar",)),
    ]
    x = x_BCHW.clone()
    for chosen_B, operation, names in steps:
        count = int(chosen_B.sum())  # draws lie on the CPU: nothing waits for the device
        if count == B:
            x = operation(x, *(drawn[name] for name in names))
        elif count:
            who = chosen_B.nonzero()[:, 0]
            there = who.to(x.device)
            x[there] = operation(x[there], *(drawn[name][who] for name in names))
    return x


def sharpened(x_BCHW: Tensor, sharp_B: Tensor) -> Tensor:
    """s x + (1 - s) smooth(x): 0 is smooth, 1 changes nothing, 2 is sharp. smooth weighs a pixel 5 and its neighbours 1."""
    C = x_BCHW.shape[1]
    kernel = x_BCHW.new_ones(3, 3)
    kernel[1, 1] = 5
    smooth = F.conv2d(F.pad(x_BCHW, (1, 1, 1, 1), mode="replicate"), (kernel / 13).expand(C, 1, 3, 3), groups=C)
    return torch.lerp(smooth, x_BCHW, sharp_B.to(x_BCHW.device, x_BCHW.dtype)[:, None, None, None])


def posterized(x_BCHW: Tensor, bits_B: Tensor) -> Tensor:
    """Values between the image's lowest and highest, cut down to 2^(8 - bits) steps."""
    low, high = _ends(x_BCHW)
    steps = (2 ** (8 - bits_B)).to(x_BCHW.device, x_BCHW.dtype)[:, None, None, None]
    width = ((high - low) / steps).clamp(min=1e-12)
    return low + ((x_BCHW - low) / width).floor().minimum(steps - 1) * width


def solarized(x_BCHW: Tensor, solar_B: Tensor) -> Tensor:
    """Values in the upper share `solar` of the image's range, mirrored within that range: bright becomes dark."""
    low, high = _ends(x_BCHW)
    from_here = high - solar_B.to(x_BCHW.device, x_BCHW.dtype)[:, None, None, None] * (high - low)
    return torch.where(x_BCHW > from_here, low + high - x_BCHW, x_BCHW)


def _ends(x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    return x_BCHW.amin((1, 2, 3), keepdim=True), x_BCHW.amax((1, 2, 3), keepdim=True)
