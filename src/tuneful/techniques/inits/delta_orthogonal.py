"""Delta-orthogonal: a convolution that begins as a rotation of the channels, the same at every pixel.

    w[:, :, middle] = gain Q,   w elsewhere = 0;   Q [out, in] with orthonormal rows or columns,   gain = sqrt 2

With as many pixels out as in (stride 1, padding) the whole layer is then gain times an isometry, whatever the size of its
window, where in <= out; where in > out it is one along the rows. So signals pass through very many layers. An orthogonal
matrix of the flattened window (init orthogonal) does not do this. Linear layers and embeddings get an orthogonal matrix.

Source: Xiao et al., ICML 2018, section 2.4 and algorithm 1, arXiv:1806.05393 (ten thousand layers with tanh).
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.techniques.inits.orthogonal import rotation
from tuneful.techniques.interfaces import Init


class DeltaOrthogonal(Init):
    """For very deep convolutional networks of tanh units without norms; with rectifiers take he or lsuv."""

    source: ClassVar[str] = "Xiao et al., ICML 2018, arXiv:1806.05393"
    cost: ClassVar[str] = "one QR factorization of the channels per weight, once"
    gain: ClassVar[float] = math.sqrt(2.0)
    joint: ClassVar[bool] = True

    kind: Literal["delta_orthogonal"] = "delta_orthogonal"

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """gain times a rotation in the middle of the window (the later of two middles), zero around it."""
        middle = tuple(size // 2 for size in weight.shape[2:])
        weight.zero_()
        weight[(..., *middle)] = rotation(weight.shape[0], weight.shape[1], dice) * gain
