"""Random erasing: a rectangle of the image is filled with noise.

    area ~ U(0.02, area) of the image;  log(height / width) ~ U(log 0.3, log 1/0.3);  the place evenly within the image
    x' = e inside the rectangle, e ~ N(0, 1) for each of its pixels and channels, in a share of the images

The noise is N(0, 1) where the paper has U(0, 255), as images are normalized here; a rectangle that would be longer than the
image is cut to its side where the paper draws again. Drawing a number for each pixel of the batch took most of the time (LOG.md),
so the noise of an image is a piece of one fixed table of 65,536 such numbers, from a place that is drawn.

Source: Zhong et al., AAAI 2020, algorithm 1, arXiv:1708.04896.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from tuneful.core.config import Share
from tuneful.core.form import FormKind
from tuneful.techniques.augments.images import require_images
from tuneful.techniques.interfaces import Augment

NOISE = 1 << 16  # numbers in the table
SMALLEST, LONGEST = 0.02, 1 / 0.3  # share of the image; sides of a rectangle, one to the other

Area = Annotated[float, Field(ge=SMALLEST, le=1, allow_inf_nan=False)]


class Erase(Augment):
    """Objects are half hidden; a network that looks at one detail alone is disappointed."""

    source: ClassVar[str] = "Zhong et al., AAAI 2020, arXiv:1708.04896"
    cost: ClassVar[str] = "one copy of the batch"
    serves: ClassVar[tuple[FormKind, ...]] = ("image",)

    kind: Literal["erase"] = "erase"
    share: Share = 0.5  # probability that an image loses a rectangle
    area: Area = 0.33  # largest rectangle, as a share of the image; the smallest is 0.02

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """A rectangle for each image, empty where nothing is erased, and where in the table its noise begins."""
        B, _, H, W = require_images(shape, self.kind)
        chosen, area, ratio, down, right = torch.rand(5, B, generator=dice)
        area = SMALLEST + area * (self.area - SMALLEST)
        ratio = ((2 * ratio - 1) * math.log(LONGEST)).exp()
        height = (H * W * area * ratio).sqrt().round().clamp(1, H)
        width = (H * W * area / ratio).sqrt().round().clamp(1, W)
        height = height * (chosen < self.share)
        top, left = (down * (H - height + 1)).floor(), (right * (W - width + 1)).floor()
        box = torch.stack([top, top + height, left, left + width], dim=1).long()
        return {"box": box, "start": torch.randint(NOISE, (B,), generator=dice)}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Fill the rectangles of [B, C, H, W]; p is given back as it is."""
        place_N, noise_N = _erased(drawn["box"], drawn["start"], x.shape)
        channel_C1 = (torch.arange(x.shape[1]) * (x.shape[2] * x.shape[3]))[:, None]
        noise = _table()[((noise_N + channel_C1) & (NOISE - 1)).view(-1)].to(x.device, x.dtype)
        changed = x.clone(memory_format=torch.contiguous_format)
        changed.view(-1).scatter_(0, (place_N + channel_C1).view(-1).to(x.device), noise)
        return changed, p


def _erased(box_B4: Tensor, start_B: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Every erased pixel's place in the first channel of its image, counted over the whole batch, and its place in the table.

    Rectangles are taken as runs along rows, so that no mask of the batch is made.
    """
    B, C, H, W = shape
    top_B, bottom_B, left_B, right_B = box_B4.unbind(1)
    high_B = bottom_B - top_B
    image_R = torch.arange(B).repeat_interleave(high_B)  # of each row that loses a run
    row_R = torch.arange(len(image_R)) + (top_B - high_B.cumsum(0) + high_B)[image_R]
    wide_R = (right_B - left_B)[image_R]
    first_R = (
        row_R * W + left_B[image_R] - (wide_R.cumsum(0) - wide_R)
    )  # so that adding the number of the pixel gives its place
    run_N = torch.arange(len(image_R)).repeat_interleave(wide_R)
    number_N = torch.arange(len(run_N))
    return number_N + (first_R + image_R * (C * H * W))[run_N], number_N + (first_R + start_B[image_R])[run_N]


@functools.cache
def _table() -> Tensor:
    return torch.randn(NOISE, generator=torch.Generator().manual_seed(0))
