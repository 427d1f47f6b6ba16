"""What the augments share that mix examples in pairs: the draw of a share, the blend, and what cannot be blended."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tuneful.core.errors import RecipeError


def beta(alpha: float, n: int, dice: torch.Generator) -> Tensor:
    """n draws of Beta(alpha, alpha), float64 [n]. torch draws no Beta from a generator; numpy does."""
    seed = int(torch.randint(2**62, (), generator=dice))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, n))


def blended(x: Tensor, lam_B: Tensor, partner_B: Tensor) -> Tensor:
    """lam x_i + (1 - lam) x_partner(i), a new tensor; lam and partner may lie on the CPU."""
    lam = lam_B.to(x.device, x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    return x * lam + x[partner_B.to(x.device)] * (1 - lam)


def require_blendable(kind: str, x: Tensor, p: Tensor) -> None:
    """Raise RecipeError unless x and p are floats for the same number of examples."""
    if len(x) != len(p):
        raise RecipeError(f"{kind} was given {len(x)} examples and {len(p)} targets; it needs as many of both")
    for what, one in (("examples", x), ("targets", p)):
        if not one.is_floating_point():
            raise RecipeError(
                f"{kind} blends {what}, and these are whole numbers ({str(one.dtype).removeprefix('torch.')})",
                f"leave {kind} out for tokens and for targets that are no probabilities or values",
            )
