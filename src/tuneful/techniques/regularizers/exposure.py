"""Outlier exposure: examples that are known to be of no class are taught to look like all classes alike.

    loss = sum over the known of -log q_y  +  weight * sum over the outsiders of -1/L sum_l log q_l

divided by how much all of them weigh. Without outsiders in train nothing changes. What is learned from a few of them carries over
to outsiders of other kinds, though less than their number in the test may suggest when both come from one place.

Source: Hendrycks, Mazeika & Dietterich, ICLR 2019, arXiv:1812.04606, section 4.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Positive
from tuneful.techniques.interfaces import Regularizer


class Exposure(Regularizer):
    """For an open set whose training split has examples of no known class."""

    source: ClassVar[str] = "Hendrycks et al., ICLR 2019, arXiv:1812.04606"
    cost: ClassVar[str] = "the outsiders of train are seen as often as all other examples"

    kind: Literal["exposure"] = "exposure"
    weight: Positive = 1.0  # how many examples of a class an outsider counts for

    def outsiders(self, p_BL: Tensor) -> Tensor:
        """Target probabilities [B, L] whose rows of zeros, examples of no class, are filled in; p_BL is not modified. The loop asks
        for it before the augments."""
        row = p_BL.new_full((p_BL.shape[-1],), self.weight / p_BL.shape[-1])
        return torch.where((p_BL == 0).all(dim=-1, keepdim=True), row, p_BL)
