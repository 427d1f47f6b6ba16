"""ASAM: sharpness measured in units of each weight, so that rescaling layers changes nothing.

    e = rho p^2 g / | |p| g |;   g' = gradient at p + e;   p: a step of the rule inside with g'          (see sharp.py)

A network with rectifiers computes the same when one layer is doubled and the next halved, but SAM sees another sharpness. Here the
ball is stretched by |p|, which undoes that; rho is about ten times SAM's. A weight that is 0 is not perturbed.

Decay is that of the rule inside: coupled for momentum, decoupled (lr * decay) for AdamW.

Source: Kwon et al., ICML 2021, algorithm 1, arXiv:2102.11600 (element-wise, eta = 0).  Memory: that of the rule inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from tuneful.core.config import Positive
from tuneful.techniques.optimizers.sharp import Sharp, SharpOptimizer


class ASAM(Sharp):
    """SAM that does not care how layers are scaled."""

    source: ClassVar[str] = "Kwon et al., ICML 2021, arXiv:2102.11600"
    adaptive: ClassVar[bool] = True

    kind: Literal["asam"] = "asam"
    rho: Positive = 0.5  # how far uphill, relative to the weights

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """The rule in a shell whose `step` wants a closure."""
        return SharpOptimizer(params, self)
