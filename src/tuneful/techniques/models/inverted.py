"""Inverted residual blocks, of which both MobileNets are made.

    x -> conv1, to `hidden` maps, act -> depthwise conv, act -> squeeze-excite? -> conv1 to `outputs` (linear) -> + x where it fits

    squeeze-excite:  x * gate(W2 relu(W1 mean(x)))

Source: Sandler et al., CVPR 2018, arXiv:1801.04381; squeeze-excite: Hu et al., CVPR 2018, arXiv:1709.01507; the hard gate:
Howard et al., ICCV 2019, arXiv:1905.02244.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tuneful.techniques.interfaces import Residual
from tuneful.techniques.models.activations import Activation
from tuneful.techniques.models.maps import Norm, unit


class Inverted(nn.Module, Residual):
    """One block. hidden == inputs leaves the first convolution out; squeeze: maps of the squeeze, 0 for none."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, kernel: int, stride: int, squeeze: int,
        normed: Norm, then: Activation,
    ) -> None:  # fmt: skip
        super().__init__()
        layers: list[nn.Module] = [unit(inputs, hidden, 1, normed=normed, then=then)] if hidden != inputs else []
        layers.append(unit(hidden, hidden, kernel, stride, groups=hidden, normed=normed, then=then))
        layers += [Squeeze(hidden, squeeze)] if squeeze else []
        self.last = unit(hidden, outputs, 1, normed=normed, then=None)
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.last(self.layers(x))
        return x + y if self.adds else y

    def ends(self) -> Sequence[nn.Module]:
        """The last norm (or convolution, where there is no norm); nothing where the block does not add."""
        if not self.adds:
            return []
        return [self.last[0] if isinstance(self.last[1], nn.Identity) else self.last[1]]


class Squeeze(nn.Module):
    """Each map times a number between 0 and 1 that the means of all maps decide."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


def eighths(channels: float) -> int:
    """The multiple of 8 next to a number of maps, at least 8, and no less than 0.9 of it (the authors' rounding).

    >>> eighths(16 * 0.5), eighths(24 * 0.35), eighths(97)
    (8, 8, 96)
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
