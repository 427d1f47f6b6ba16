"""Clipping at a percentile: a gradient that is longer than most before it is shortened to what is usual.

    limit = the given percentile of the lengths |g| of the last `window` steps, this one among them
    g *= min(1, limit / |g|)

The lengths are those before clipping. They are part of a run's state.

Source: Seetharaman et al., MLSP 2020, "AutoClip", arXiv:2007.14469 (there over all steps; here over a window, since what is
usual changes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tuneful.core.config import Count
from tuneful.techniques.interfaces import Regularizer
from tuneful.techniques.shards import whole


class PercentileClipping(Regularizer):
    """The limit finds itself, and follows the run."""

    source: ClassVar[str] = "Seetharaman et al., MLSP 2020, arXiv:2007.14469"
    cost: ClassVar[str] = "two passes over the gradients a step, and sorting the window; never waits for the device"

    kind: Literal["percentile_clipping"] = "percentile_clipping"
    percentile: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 10.0  # of the lengths seen; longer ones are cut
    window: Count = 1000  # steps that are remembered

    def start_memory(self, params: Sequence[nn.Parameter]) -> dict[str, Tensor]:
        """A ring of lengths, empty places not a number, and how many there have been (on the CPU: it is read every step)."""
        where = params[0].device if params else None
        return {"lengths": torch.full((self.window,), math.nan, device=where), "seen": torch.zeros((), dtype=torch.int64)}

    @torch.no_grad()
    def limit_(self, params: Sequence[nn.Parameter], memory: dict[str, Tensor]) -> None:
        """Scale all gradients by one factor <= 1. A length that is not finite is not remembered, and its gradient stays not
        finite: the loop sees it in the loss."""
        grads = [p.grad for p in params if p.grad is not None]
        if not grads:
            return
        length = whole(nn.utils.get_total_norm(grads))
        place = int(memory["seen"]) % self.window
        memory["lengths"][place] = torch.where(length.isfinite(), length, math.nan)
        memory["seen"] += 1
        limit = torch.nanquantile(memory["lengths"], self.percentile / 100)
        factor = (limit / length.clamp(min=1e-12)).clamp(max=1.0)
        for g in grads:
            g.mul_(factor)
