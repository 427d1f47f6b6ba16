"""SAM: steps that look for flat minima, by the gradient at the worst point nearby.

    e = rho g / |g|;   g' = gradient at p + e;   p: a step of the rule inside with g'          (see sharp.py)

The worst point within a ball of radius rho is, to first order, where the gradient leads. Where many weights agree on the loss, the
second gradient is the first; in a narrow valley it points out of it. It helps most on images and with many epochs.

Decay is that of the rule inside: coupled for momentum, decoupled (lr * decay) for AdamW.

Source: Foret et al., ICLR 2021, algorithm 1, arXiv:2010.01412 (m = the whole batch).  Memory: that of the rule inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from tuneful.core.config import Positive
from tuneful.techniques.optimizers.sharp import Sharp, SharpOptimizer


class SAM(Sharp):
    """Calm, flat minima for twice the time."""

    source: ClassVar[str] = "Foret et al., ICLR 2021, arXiv:2010.01412"
    adaptive: ClassVar[bool] = False

    kind: Literal["sam"] = "sam"
    rho: Positive = 0.05  # how far uphill, as a length in weight space

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in a shell whose `step` wants a closure."""
        return SharpOptimizer(params, self)
