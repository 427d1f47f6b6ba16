"""Mixup: the network is asked to be linear between examples.

    lam ~ Beta(alpha, alpha);  x'_i = lam x_i + (1 - lam) x_s(i);  p'_i alike; s a permutation

Source: Zhang et al., ICLR 2018, eq. 1, arXiv:1710.09412.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from tuneful.core.config import Positive
from tuneful.core.errors import RecipeError
from tuneful.techniques.interfaces import Augment


class Mixup(Augment):
    """Examples blended in pairs, their targets alike; serves images, tables and regression."""

    source: ClassVar[str] = "Zhang et al., ICLR 2018, arXiv:1710.09412"
    cost: ClassVar[str] = "two copies of the batch"

    kind: Literal["mixup"] = "mixup"
    alpha: Positive = 0.2  # strength: 0.2 for large data sets, 1.0 for small ones

    def apply(self, x: Tensor, p: Tensor, dice: torch.Generator) -> tuple[Tensor, Tensor]:
        """Blend the batch with a permutation of itself; see `mixup`."""
        return mixup(x, p, self.alpha, dice)


def mixup(x: Tensor, p_BL: Tensor, alpha: float, dice: torch.Generator) -> tuple[Tensor, Tensor]:
    """Blend every example with a random partner from its batch.

        lam ~ Beta(alpha, alpha);  x'_i = lam x_i + (1 - lam) x_s(i);  p'_i alike; s a permutation

    Args:
        x: [B, ...], any scale; not modified.
        p_BL: target probabilities, rows summing to 1 (one-hot for hard labels), or standardized targets; not modified.
        alpha: > 0, no unit; 0.2 for large data sets, 1.0 for small ones.
        dice: the only source of chance; the same state gives the same blend.

    Returns: (x', p'), new tensors with the shapes, types and devices given.
    Raises:  RecipeError when alpha <= 0, or when x and p differ in B.
    Cost:    two extra copies of the batch for a moment, one after.
    Source:  Zhang et al., ICLR 2018, eq. 1, arXiv:1710.09412.  One lam per batch, as in their code.
    """
    if not alpha > 0:
        raise RecipeError(f"mixup's alpha is {alpha:g}; it must be > 0", "leave mixup out to blend nothing")
    if len(x) != len(p_BL):
        raise RecipeError(f"mixup was given {len(x)} examples and {len(p_BL)} targets; it needs as many of both")
    seed = int(torch.randint(2**62, (), generator=dice))  # torch draws no Beta from a generator; numpy does
    lam = float(np.random.default_rng(seed).beta(alpha, alpha))
    partner = torch.randperm(len(x), generator=dice)
    s_x, s_p = x[partner.to(x.device)], p_BL[partner.to(p_BL.device)]
    return x * lam + s_x * (1 - lam), p_BL * lam + s_p * (1 - lam)
