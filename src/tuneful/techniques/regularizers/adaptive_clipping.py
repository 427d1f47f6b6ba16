"""Adaptive clipping: a gradient may be so long as its weights allow, unit by unit.

    for each unit i (row of a matrix, filter of a convolution; a tensor of one axis is one unit):
        g_i *= min(1, limit max(|w_i|, eps) / |g_i|)

The weight of the last layer, and what follows it, is left alone, as in the paper.

Source: Brock et al., ICML 2021, section 4.1, arXiv:2102.06171.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from tuneful.core.config import Positive
from tuneful.techniques.interfaces import Regularizer


class AdaptiveClipping(Regularizer):
    """One limit for networks of all sizes, where there are no norms to tame the gradients."""

    source: ClassVar[str] = "Brock et al., ICML 2021, arXiv:2102.06171"
    cost: ClassVar[str] = "three passes over weights and gradients a step; never waits for the device"

    kind: Literal["adaptive_clipping"] = "adaptive_clipping"
    max_ratio: Positive = 0.01  # longest gradient of a unit, in lengths of its weights
    eps: Positive = 1e-3  # weights count as at least so long, or zeros would never leave zero
    spare_head: bool = True  # leave the last layer alone

    @torch.no_grad()
    def limit_(self, params: Sequence[nn.Parameter], memory: dict[str, Tensor]) -> None:
        """Shorten the gradients of the units, in place."""
        matrices = [place for place, p in enumerate(params) if p.ndim >= 2]
        end = matrices[-1] if self.spare_head and len(matrices) > 1 else len(params)
        for p in params[:end]:
            if p.grad is None:
                continue
            most = self.max_ratio * _lengths(p).clamp(min=self.eps)
            p.grad.mul_((most / _lengths(p.grad).clamp(min=1e-12)).clamp(max=1.0))


def _lengths(x: Tensor) -> Tensor:
    """The length of each unit, with as many axes as x."""
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)) if x.ndim > 1 else None, keepdim=True)
