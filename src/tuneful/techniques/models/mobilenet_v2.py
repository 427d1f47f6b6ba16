"""MobileNetV2: narrow maps between wide, cheap convolutions of one map each.

    stem conv3; 17 inverted residual blocks; conv1 to 1280 maps; mean, dropout, linear

Small images (shorter side below 64) lose the first halvings, until 4 pixels a side are left at the end.

Source: Sandler et al., CVPR 2018, table 2, arXiv:1801.04381.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import nn

from tuneful.core.config import Count
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation
from tuneful.techniques.models.inverted import Inverted, eighths
from tuneful.techniques.models.maps import Norm, halved, sides, unit

# expansion, maps, blocks, stride of the first
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM = 32  # maps of the first convolution
LAST = 1280  # maps behind the blocks; wider nets have more


class MobileNetV2(Model):
    """For images, where the model must be small on the device."""

    source: ClassVar[str] = "Sandler et al., CVPR 2018, arXiv:1801.04381"
    cost: ClassVar[str] = "3.5 million weights, 0.3e9 multiply-adds at 224x224"
    serves: ClassVar[tuple[FormKind, ...]] = ("image", "spectrogram")

    kind: Literal["mobilenet_v2"] = "mobilenet_v2"
    width: Count = STEM  # maps of the first convolution; all others in proportion, in multiples of 8
    norm: Norm = "batch"  # normalization before the activation
    activation: Activation = "relu"  # nonlinear function (the paper clips it at 6)

    def build(self, form: Form) -> nn.Module:
        """For shape (C, H, W). Raises ModelError for images below 4x4."""
        channels, side = sides(form, "mobilenet_v2")
        strides = halved((2, *(stride for *_, stride in STAGES)), side)
        factor = self.width / STEM
        maps = eighths(self.width)
        layers: list[nn.Module] = [unit(channels, maps, 3, strides[0], normed=self.norm, then=self.activation)]
        for (expansion, base, blocks, _), stride in zip(STAGES, strides[1:], strict=True):
            wide = eighths(base * factor)
            for number in range(blocks):
                first = stride if number == 0 else 1
                layers.append(Inverted(maps, expansion * maps, wide, 3, first, 0, self.norm, self.activation))
                maps = wide
        last = eighths(LAST * max(1.0, factor))
        layers.append(unit(maps, last, 1, normed=self.norm, then=self.activation))
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.0), nn.Linear(last, form.outputs))
