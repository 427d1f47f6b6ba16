"""Orthogonal: a rotation, times the gain; lengths pass unchanged in both directions.

    w = gain Q, the weight seen as a matrix [out, rest]; Q has orthonormal rows, or columns where there are more rows

Q is the QR factor of a normal matrix, with the signs of R's diagonal put into it, so that every rotation is equally likely.

Source: Saxe et al., ICLR 2014, arXiv:1312.6120; the signs: Mezzadri, Notices AMS 54, 2007, arXiv:math-ph/0609050.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.techniques.interfaces import Init


class Orthogonal(Init):
    """For deep networks without norms, and recurrent ones."""

    source: ClassVar[str] = "Saxe et al., ICLR 2014, arXiv:1312.6120"
    cost: ClassVar[str] = "one QR factorization per weight, once"
    gain: ClassVar[float] = math.sqrt(2.0)
    joint: ClassVar[bool] = True

    kind: Literal["orthogonal"] = "orthogonal"

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """gain times an orthogonal matrix; the fans do not matter."""
        weight.copy_(rotation(weight.shape[0], weight[0].numel(), dice).reshape(weight.shape) * gain)


def rotation(rows: int, columns: int, dice: torch.Generator) -> Tensor:
    """A matrix [rows, columns] with orthonormal rows, or columns where there are more rows, each equally likely."""
    drawn = torch.randn(max(rows, columns), min(rows, columns), generator=dice)
    q, r = torch.linalg.qr(drawn)
    q = q * r.diagonal().sign()
    return q if rows >= columns else q.T
