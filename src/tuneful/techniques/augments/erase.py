"""Random erasing: a rectangle of the image is filled with noise.

    area ~ U(0.02, area) of the image;  log(height / width) ~ U(log 0.3, log 1/0.3);  the place evenly within the image
    x' = e inside the rectangle, e ~ N(0, 1) for each of its pixels and channels, in a share of the images

The noise is N(0, 1) where the paper has U(0, 255), as images are normalized here; a rectangle that would be longer than the
image is cut to its side where the paper draws again.

Source: Zhong et al., AAAI 2020, algorithm 1, arXiv:1708.04896.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from tuneful.core.config import Share
from tuneful.core.form import FormKind
from tuneful.techniques.augments.images import inside, require_images
from tuneful.techniques.interfaces import Augment

SMALLEST, LONGEST = 0.02, 1 / 0.3  # share of the image; sides of a rectangle, one to the other

Area = Annotated[float, Field(ge=SMALLEST, le=1, allow_inf_nan=False)]


class Erase(Augment):
    """Objects are half hidden; a network that looks at one detail alone is disappointed."""

    source: ClassVar[str] = "Zhong et al., AAAI 2020, arXiv:1708.04896"
    cost: ClassVar[str] = "one draw per number of the batch, and a copy"
    serves: ClassVar[tuple[FormKind, ...]] = ("image",)

    kind: Literal["erase"] = "erase"
    share: Share = 0.5  # probability that an image loses a rectangle
    area: Area = 0.33  # largest rectangle, as a share of the image; the smallest is 0.02

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """A rectangle for each image, empty where nothing is erased, and what fills it."""
        B, _, H, W = require_images(shape, self.kind)
        chosen, area, ratio, down, right = torch.rand(5, B, generator=dice)
        area = SMALLEST + area * (self.area - SMALLEST)
        ratio = ((2 * ratio - 1) * math.log(LONGEST)).exp()
        height = (H * W * area * ratio).sqrt().round().clamp(1, H)
        width = (H * W * area / ratio).sqrt().round().clamp(1, W)
        height = height * (chosen < self.share)
        top, left = (down * (H - height + 1)).floor(), (right * (W - width + 1)).floor()
        box = torch.stack([top, top + height, left, left + width], dim=1).long()
        return {"box": box, "noise": torch.randn(tuple(shape), generator=dice)}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Fill the rectangles of [B, C, H, W]; p is given back as it is."""
        return torch.where(inside(drawn["box"], x), drawn["noise"].to(x.device, x.dtype), x), p
