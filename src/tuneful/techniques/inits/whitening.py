"""Whitening: the first convolution sees the patches of the training images along their own directions, each with variance 1.

    S = mean over patches of (p - mean) (p - mean)^T,  S = V diag(s) V^T;   w = +-V[:, k] / sqrt(s_k + eps)

A patch is as large as the layer's window, [C k k] numbers. Each direction comes twice, once with the other sign, so that behind a
rectifier both halves are there. A layer with fewer outputs takes the directions of the largest variance; what it has beyond twice
their number stays as drawn. All other weights are drawn by another init.

Source: Page, "How to train your ResNet 8: bag of tricks", 2019; Jordan 2024, section 3.2, arXiv:2404.00498 (eps as there).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.core.config import Count, Positive
from tuneful.core.errors import ModelError
from tuneful.techniques.inits.dirac import Dirac
from tuneful.techniques.inits.he import He
from tuneful.techniques.inits.orthogonal import Orthogonal
from tuneful.techniques.interfaces import Init

OTHERS: dict[str, Init] = {"dirac": Dirac(), "he": He(), "orthogonal": Orthogonal()}


class Whitening(Init):
    """For networks of small images whose first windows are small."""

    source: ClassVar[str] = "Page 2019, How to train your ResNet 8; Jordan 2024, arXiv:2404.00498"
    cost: ClassVar[str] = "the patches of the examples and one eigenvalue problem, once; and what the other init costs"

    kind: Literal["whitening"] = "whitening"
    others: Literal["dirac", "he", "orthogonal"] = "dirac"  # draws all other weights
    examples: Count = 5000  # of the training split, drawn by the seed, whose patches are looked at
    eps: Positive = 5e-4  # added to the variances, which may be nothing

    @property
    def drawer(self) -> Init:
        """The init that is named in `others`."""
        return OTHERS[self.others]

    @property
    def looks(self) -> int:
        """As many as `examples`."""
        return self.examples

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """As the other init fills it."""
        self.drawer.fill_(weight, fan_in, fan_out, gain, dice)

    @torch.no_grad()
    def settle_(self, net: nn.Module, sample: Tensor | None, twin: nn.Module | None) -> None:
        """Fill the first convolution. Raises ModelError where there are no examples, or no such layer that sees all channels."""
        if sample is None:
            raise ModelError("init is whitening, which needs examples to look at; none were given", "pass sample= to apply_")
        first = next((one for one in net.modules() if isinstance(one, nn.Conv2d)), None)
        if first is None or sample.ndim != 4 or first.groups > 1 or first.in_channels != sample.shape[1]:
            raise ModelError(
                f"init is whitening, and {type(net).__name__} does not begin with a convolution over all channels of images",
                "take model=airbench or convnet, or init=dirac",
            )
        directions = whitening(sample, first.kernel_size[0], first.kernel_size[1], self.eps)
        both = torch.cat([directions, -directions]) if first.out_channels > len(directions) else directions
        count = min(first.out_channels, len(both))
        first.weight[:count] = both[:count].view(count, *first.weight.shape[1:])


def whitening(x_BCHW: Tensor, height: int, width: int, eps: float) -> Tensor:
    """The directions [D, D] of the patches [C height width] of images, largest variance first, each row divided by its deviation.

    Signs are settled by the largest number of a row, so that they do not hang on the library that solves the problem.
    """
    C = x_BCHW.shape[1]
    D = C * height * width
    total, sums, count = torch.zeros(D, D, dtype=torch.float64), torch.zeros(D, dtype=torch.float64), 0
    for part in x_BCHW.split(512):
        patches_ND = F.unfold(part, (height, width)).transpose(1, 2).reshape(-1, D).double()
        total += patches_ND.T @ patches_ND
        sums += patches_ND.sum(0)
        count += len(patches_ND)
    mean = sums / count
    variances, vectors = torch.linalg.eigh(total / count - torch.outer(mean, mean))
    rows = vectors.T.flip(0)
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return (rows * largest.sign() / (variances.flip(0).clamp(min=0) + eps).sqrt()[:, None]).float()
