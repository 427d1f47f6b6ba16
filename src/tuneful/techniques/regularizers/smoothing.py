"""Label smoothing: the target gives a little to every class, so that the logits need not run away.

    p' = (1 - amount) p + amount / L

Source: Szegedy et al., CVPR 2016, section 7, arXiv:1512.00567.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from tuneful.core.config import Fraction
from tuneful.core.errors import RecipeError
from tuneful.techniques.interfaces import Regularizer


class Smoothing(Regularizer):
    """Targets that are not quite sure."""

    source: ClassVar[str] = "Szegedy et al., CVPR 2016, arXiv:1512.00567"
    cost: ClassVar[str] = "none to speak of"

    kind: Literal["smoothing"] = "smoothing"
    amount: Fraction = 0.1  # share of the probability spread over all classes

    def targets(self, p_BL: Tensor) -> Tensor:
        """(1 - amount) p + amount / L as a new tensor. Raises RecipeError when there are no classes to spread over."""
        if p_BL.shape[-1] < 2:
            raise RecipeError(
                f"smoothing spreads probability over classes; it was given targets of shape {list(p_BL.shape)}",
                "leave smoothing out of a regression; two or more classes are [B, L] with L >= 2",
            )
        return p_BL * (1.0 - self.amount) + self.amount / p_BL.shape[-1]
