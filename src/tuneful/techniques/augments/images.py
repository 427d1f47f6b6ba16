"""What the augments of images share: the check of the shape, and the reading of pixels at moved places."""

from __future__ import annotations

import torch
from torch import Tensor

from tuneful.core.errors import RecipeError


def require_images(x: Tensor, kind: str) -> None:
    """Raise RecipeError unless x is [B, C, H, W]."""
    if x.ndim != 4:
        raise RecipeError(
            f"{kind} moves pixels; it was given a batch of shape {list(x.shape)}, not [B, C, H, W]",
            f"leave {kind} out for data that are not images",
        )


def moved(x_BCHW: Tensor, down_B: Tensor, right_B: Tensor) -> Tensor:
    """Every image moved by its own whole number of pixels; the border's pixels fill what comes in.

    Args:
        x_BCHW: any type; not modified.
        down_B, right_B: int64 on the CPU; positive moves the content down and to the right.
    Cost: one copy of the batch.
    """
    B, C, H, W = x_BCHW.shape
    rows_BH = (torch.arange(H) - down_B[:, None]).clamp(0, H - 1)
    columns_BW = (torch.arange(W) - right_B[:, None]).clamp(0, W - 1)
    places = (rows_BH[:, :, None] * W + columns_BW[:, None, :]).reshape(B, 1, H * W).to(x_BCHW.device).expand(B, C, H * W)
    return x_BCHW.reshape(B, C, H * W).gather(2, places).reshape(B, C, H, W)
