"""LeNet: the network of two convolutions with which textbooks begin.

    conv, activation, max over 2x2;  conv, activation, max over 2x2;  dropout;  hidden layers;  dropout;  linear

    LeNet(border="cut", hidden=())             is the example of Keras (34,826 weights on 28x28)
    LeNet(kernel=5, width=6, ..)              is near LeNet-5, whose second convolution has 16 maps

Source: LeCun et al., Proc. IEEE 86, 1998; maxima in place of means: Scherer et al., ICANN 2010.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from tuneful.core.config import Count
from tuneful.core.errors import ModelError
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.activations import Activation, activation
from tuneful.techniques.models.maps import Norm, norm, sides


class LeNet(Model):
    """For small images, and to compare with what others teach."""

    source: ClassVar[str] = "LeCun et al., Proc. IEEE 86, 1998"
    cost: ClassVar[str] = "most weights stand in the first hidden layer: 2 * width * hidden * pixels / 16"
    serves: ClassVar[tuple[FormKind, ...]] = ("image", "spectrogram")

    kind: Literal["lenet"] = "lenet"
    width: Count = 32  # maps of the first convolution; the second has twice as many
    kernel: Literal[3, 5] = 3  # pixels a side of the windows
    border: Literal["padded", "cut"] = "padded"  # zeros around, so that a convolution keeps the size; or the border is lost
    hidden: Annotated[tuple[Count, ...], Field(strict=False)] = (128,)  # units of the hidden layers behind the convolutions
    norm: Norm = "none"  # normalization before the activation
    activation: Activation = "relu"  # nonlinear function

    def build(self, form: Form) -> nn.Module:
        """For shape (C, H, W). Raises ModelError for images below 4x4, or where windows without padding leave nothing."""
        channels, _ = sides(form, "lenet")
        layers: list[nn.Module] = []
        size = list(form.shape[1:])
        for maps in (self.width, 2 * self.width):
            pad = self.kernel // 2 if self.border == "padded" else 0
            layers += [nn.Conv2d(channels, maps, self.kernel, padding=pad, bias=self.norm == "none")]
            layers += [] if self.norm == "none" else [norm(self.norm, maps)]
            layers += [activation(self.activation), nn.MaxPool2d(2)]
            size = [(side + 2 * pad - self.kernel + 1) // 2 for side in size]
            channels = maps
        if min(size) < 1:
            raise ModelError(
                f"model.kernel is {self.kernel} and model.border cut, which leaves nothing of images of "
                f"{form.shape[1]}x{form.shape[2]}",
                "write border=padded",
            )
        units = channels * size[0] * size[1]
        layers += [nn.Flatten(), nn.Dropout(0.0)]
        for wide in self.hidden:
            layers += [nn.Linear(units, wide), activation(self.activation), nn.Dropout(0.0)]
            units = wide
        return nn.Sequential(*layers, nn.Linear(units, form.outputs))
