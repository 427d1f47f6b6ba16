"""What all augments share that move pixels: one affine map an image, composed over the recipe, and a single resampling.

    x'(q) = x(A q + t),  q = (u, v): pixels to the right of and below the middle of the image

An augment draws (A, t) as a matrix [2, 3] from places of the new image to places of the old one. Where several stand beside one
another, first f and then g, the new image is x(f(g(q))): their matrices are multiplied and the pixels are read once, which
costs less and blurs less than one reading each.

    all of them exact (flip, crop: A diagonal +-1, t whole)    the pixels themselves, gathered
    otherwise                                                   blends of the four nearest pixels (bilinear)

Beyond the border lies the nearest pixel. The grid of places is built here from two outer sums: torch's affine_grid takes more
time than the sampling itself (LOG.md).

Source: Simard et al., ICDAR 2003 (affine distortions with bilinear values).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from tuneful.core.form import FormKind
from tuneful.techniques.interfaces import Augment


class Geometric(Augment):
    """An augment that moves pixels: `draw` gives {"matrix": [B, 2, 3]}, in pixels from the middle."""

    serves: ClassVar[tuple[FormKind, ...]] = ("image",)
    moves: ClassVar[bool] = True
    exact: ClassVar[bool] = False  # does every map that it draws take pixels to pixels, without a turn?

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Every image of [B, C, H, W] seen through its map; p as it is, but a mask is seen through the same map."""
        return resampled(x, drawn["matrix"], self.exact), with_image(x, p, drawn["matrix"], self.exact)


def identity(B: int) -> Tensor:
    """Maps [B, 2, 3] that change nothing, to be filled in."""
    return torch.eye(2, 3).repeat(B, 1, 1)


def compose(first_B23: Tensor, then_B23: Tensor) -> Tensor:
    """The map of the image that was changed by `first` and the result by `then`: q -> first(then(q))."""
    turn_B22 = first_B23[:, :, :2]
    moved_B23 = turn_B22 @ then_B23
    moved_B23[:, :, 2] += first_B23[:, :, 2]
    return moved_B23


def with_image(x_BCHW: Tensor, p: Tensor, matrix_B23: Tensor, exact: bool) -> Tensor:
    """Targets beside images that were moved: class numbers of pixels [B, H, W] move along, each taken from the nearest pixel;
    any others are given back as they are."""
    if p.is_floating_point() or p.shape != (len(x_BCHW), *x_BCHW.shape[2:]):
        return p
    return resampled(p[:, None].to(x_BCHW.dtype), matrix_B23, exact, mode="nearest")[:, 0].to(p.dtype)


def resampled(x_BCHW: Tensor, matrix_B23: Tensor, exact: bool, mode: str = "bilinear") -> Tensor:
    """x(A q + t) for every image.

    Args:
        x_BCHW: floating; not modified.
        matrix_B23: on any device, in pixels from the middle.
        exact: A is diagonal with 1 and -1 and t whole for all images: pixels are gathered and keep their values.
        mode: otherwise, "bilinear" or "nearest".
    Cost: one copy of the batch, and a whole number per pixel (exact) or two numbers per pixel and image.
    """
    B, C, H, W = x_BCHW.shape
    u_W, v_H = torch.arange(W) - (W - 1) / 2, torch.arange(H) - (H - 1) / 2
    if exact:
        m = matrix_B23.cpu()
        columns_BW = (m[:, 0, 0, None] * u_W + m[:, 0, 2, None] + (W - 1) / 2).long().clamp(0, W - 1)
        rows_BH = (m[:, 1, 1, None] * v_H + m[:, 1, 2, None] + (H - 1) / 2).long().clamp(0, H - 1)
        places = (
            (rows_BH[:, :, None] * W + columns_BW[:, None, :]).reshape(B, 1, H * W).to(x_BCHW.device).expand(B, C, H * W)
        )
        return x_BCHW.reshape(B, C, H * W).gather(2, places).reshape(B, C, H, W)
    m = matrix_B23.to(x_BCHW.device, x_BCHW.dtype) * x_BCHW.new_tensor([[2 / W], [2 / H]])  # torch's grid runs from -1 to 1
    across_B2W = m[:, :, 0, None] * u_W.to(m.device, m.dtype) + m[:, :, 2, None]
    down_B2H = m[:, :, 1, None] * v_H.to(m.device, m.dtype)
    grid_B2HW = across_B2W[:, :, None, :] + down_B2H[:, :, :, None]
    return F.grid_sample(x_BCHW, grid_B2HW.permute(0, 2, 3, 1), mode=mode, padding_mode="border", align_corners=False)
