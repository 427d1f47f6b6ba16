"""What the augments of token sequences share: the two numbers that are no words, and the check of the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from tuneful.core.errors import RecipeError

FILLING, UNKNOWN = 0, 1  # as `core.form.Form` has them


def require_tokens(x: Tensor, kind: str) -> None:
    """Raise RecipeError unless x is [B, T] of whole numbers."""
    if x.ndim != 2 or x.dtype not in (torch.int32, torch.int64):
        raise RecipeError(
            f"{kind} changes tokens; it was given {str(x.dtype).removeprefix('torch.')} of shape {list(x.shape)}, "
            f"not whole numbers [B, T]",
            f"leave {kind} out for data that are not tokens",
        )
