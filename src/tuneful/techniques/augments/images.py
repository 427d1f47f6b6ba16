"""What the augments of images share: the check of the shape, and boxes as masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tuneful.core.errors import RecipeError


def require_images(shape: Sequence[int], kind: str) -> tuple[int, int, int, int]:
    """(B, C, H, W); raises RecipeError where the shape is another."""
    if len(shape) != 4:
        raise RecipeError(
            f"{kind} moves pixels; it was given a batch of shape {list(shape)}, not [B, C, H, W]",
            f"leave {kind} out for data that are not images",
        )
    B, C, H, W = shape
    return B, C, H, W


def boxes(middle_B2: Tensor, size_B2: Tensor, H: int, W: int) -> Tensor:
    """Boxes of whole pixels, cut off at the border: [B, 4] top, bottom, left, right, the ends not included.

    middle_B2: row and column of the middle, in pixels from the upper left corner; size_B2: height and width.
    """
    low = (middle_B2 - size_B2 / 2).round()
    high = low + size_B2.round()
    limit = torch.tensor([H, W])
    low, high = low.clamp(min=0).minimum(limit), high.clamp(min=0).minimum(limit)
    return torch.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], dim=1).long()


def inside(box_B4: Tensor, x_BCHW: Tensor) -> Tensor:
    """Which pixels lie in the box of their image: bool [B, 1, H, W] on the device of x."""
    top, bottom, left, right = box_B4.to(x_BCHW.device)[:, :, None].unbind(1)
    rows, columns = (torch.arange(side, device=x_BCHW.device) for side in x_BCHW.shape[2:])
    rows_BH, columns_BW = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
    return (rows_BH[:, :, None] & columns_BW[:, None, :])[:, None]
