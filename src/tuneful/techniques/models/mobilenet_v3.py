"""MobileNetV3: V2's blocks, some of them with squeeze-excite, and hard-swish where it pays.

    stem conv3; inverted residual blocks as in the paper's tables; conv1; mean; linear, activation, dropout; linear

The first blocks use relu, the stem and later ones the activation that is chosen. Small images (shorter side below 64) lose the first
halvings, until 4 pixels a side are left at the end.

Source: Howard et al., ICCV 2019, tables 1 and 2, arXiv:1905.02244.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import nn

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation, activation
from tuneful.techniques.models.inverted import Inverted, eighths
from tuneful.techniques.models.maps import Norm, halved, sides, unit

STEM = 16  # maps of the first convolution
# window, hidden maps, maps, squeeze-excite, the chosen activation (else relu), stride
Row = tuple[int, int, int, bool, bool, int]
TABLES: dict[str, tuple[tuple[Row, ...], int]] = {
    "small": (
        (
            (3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1),
            (5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1),
            (5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2),
            (5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1),
        ),
        1024,
    ),
    "large": (
        (
            (3, 16, 16, False, False, 1), (3, 64, 24, False, False, 2), (3, 72, 24, False, False, 1),
            (5, 72, 40, True, False, 2), (5, 120, 40, True, False, 1), (5, 120, 40, True, False, 1),
            (3, 240, 80, False, True, 2), (3, 200, 80, False, True, 1), (3, 184, 80, False, True, 1),
            (3, 184, 80, False, True, 1), (3, 480, 112, True, True, 1), (3, 672, 112, True, True, 1),
            (5, 672, 160, True, True, 2), (5, 960, 160, True, True, 1), (5, 960, 160, True, True, 1),
        ),
        1280,
    ),
}  # fmt: skip


class MobileNetV3(Model):
    """For images, where the model must be small and fast on the device."""

    source: ClassVar[str] = "Howard et al., ICCV 2019, arXiv:1905.02244"
    cost: ClassVar[str] = "small: 2.5 million weights, 56e6 multiply-adds at 224x224; large: 5.5 million, 0.22e9"
    serves: ClassVar[tuple[FormKind, ...]] = ("image", "spectrogram")

    kind: Literal["mobilenet_v3"] = "mobilenet_v3"
    variant: Literal["small", "large"] = "small"  # which table of the paper
    width: Count = STEM  # maps of the first convolution; all others in proportion, in multiples of 8
    norm: Norm = "batch"  # normalization before the activation
    activation: Activation = "hard_swish"  # nonlinear function of stem, later blocks and head

    def build(self, form: Form) -> nn.Module:
        """For shape (C, H, W). Raises ModelError for images below 4x4."""
        channels, side = sides(form, "mobilenet_v3")
        rows, head = TABLES[self.variant]
        strides = halved((2, *(row[-1] for row in rows)), side)
        factor = self.width / STEM
        maps = eighths(self.width)
        layers: list[nn.Module] = [unit(channels, maps, 3, strides[0], normed=self.norm, then=self.activation)]
        for (kernel, hidden, base, squeezes, chosen, _), stride in zip(rows, strides[1:], strict=True):
            inner, wide = eighths(hidden * factor), eighths(base * factor)
            squeeze = eighths(inner / 4) if squeezes else 0
            then: Activation = self.activation if chosen else "relu"
            layers.append(Inverted(maps, inner, wide, kernel, stride, squeeze, self.norm, then))
            maps = wide
        layers.append(unit(maps, 6 * maps, 1, normed=self.norm, then=self.activation))
        last = eighths(head * factor)
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6 * maps, last), activation(self.activation)]
        return nn.Sequential(*layers, nn.Dropout(0.0), nn.Linear(last, form.outputs))
