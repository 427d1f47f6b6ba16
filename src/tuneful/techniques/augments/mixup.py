"""Mixup: the network is asked to be linear between examples.

    lam ~ Beta(alpha, alpha);  x'_i = lam x_i + (1 - lam) x_s(i);  p'_i alike; s a permutation

Source: Zhang et al., ICLR 2018, eq. 1, arXiv:1710.09412.  One lam per batch, as in their code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Positive
from tuneful.core.errors import RecipeError
from tuneful.techniques.augments.pairs import beta, blended, require_blendable
from tuneful.techniques.interfaces import Augment


class Mixup(Augment):
    """Examples blended in pairs, their targets alike; serves images, tables and regression."""

    source: ClassVar[str] = "Zhang et al., ICLR 2018, arXiv:1710.09412"
    cost: ClassVar[str] = "two copies of the batch"
    partners: ClassVar[tuple[str, ...]] = ("partner",)

    kind: Literal["mixup"] = "mixup"
    alpha: Positive = 0.2  # strength: 0.2 for large data sets, 1.0 for small ones

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """One lam for the batch, and a partner for each example."""
        lam = beta(self.alpha, 1, dice)
        return {"lam": lam.expand(shape[0]), "partner": torch.randperm(shape[0], generator=dice)}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Blend the batch with a permutation of itself; see `mixup`."""
        require_blendable(self.kind, x, p)
        return blended(x, drawn["lam"], drawn["partner"]), blended(p, drawn["lam"], drawn["partner"])


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
    return Mixup(alpha=float(alpha)).apply(x, p_BL, dice)
