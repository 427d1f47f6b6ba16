"""Quantization-aware training: the network meets the rounding of int8 while it learns, and is quantized afterwards.

    forward: w' = s round(w / s), s = max |w| / 127 for each output;   x' likewise on the range of x seen so far (a moving mean)
    backward: as if nothing had been rounded (straight through)

Weights and inputs of linear layers and convolutions are rounded, as `static_int8` will. What is exported are the weights behind
the rounding; the graph is then quantized with ranges found on train, in onnxruntime's form (QDQ).

Source: Jacob et al., CVPR 2018, arXiv:1712.05877, section 3; straight through: Bengio et al. 2013, arXiv:1308.3432.
"""

from __future__ import annotations

import copy
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tuneful.core.config import Fraction, Positive, Share
from tuneful.core.errors import ModelError
from tuneful.techniques.compressors.static_int8 import StaticInt8
from tuneful.techniques.interfaces import Compressor, Sight

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


class QuantizeAware(Compressor):
    """Where static_int8 loses too much."""

    source: ClassVar[str] = "Jacob et al., CVPR 2018, arXiv:1712.05877"
    cost: ClassVar[str] = "the epochs of training on, each about twice as long"
    graphs: ClassVar[bool] = True
    networks: ClassVar[bool] = True

    kind: Literal["quantize_aware"] = "quantize_aware"
    epochs: Positive = 3.0  # of training on
    teach: Share = 0.5  # how much of the loss is what the original says (as in distil), while it is trained on
    memory: Fraction = 0.95  # of the range of an activation, per step
    calibrate: Literal["minmax", "percentile", "entropy"] = "minmax"  # how ranges are found at the end

    @property
    def learns(self) -> float:
        """See `Compressor`."""
        return self.epochs

    @property
    def teaching(self) -> float:
        """See `Compressor`."""
        return self.teach

    def on_network(self, body: nn.Module, sight: Sight) -> nn.Module:
        """A copy that rounds. Raises ModelError where nothing could be rounded."""
        made = copy.deepcopy(body)
        layers = [one for one in made.modules() if isinstance(one, LAYERS)]
        if not layers:
            raise ModelError(f"{self.kind} finds no linear layers or convolutions in this network")
        for layer in layers:
            parametrize.register_parametrization(layer, "weight", RoundedWeight())
            layer.register_module("rounded", RoundedInput(self.memory))
            layer.register_forward_pre_hook(_round_input)
        return made

    def settled(self, body: nn.Module) -> nn.Module:
        """The same weights in plain layers, which round nothing."""
        made = copy.deepcopy(body)
        for layer in made.modules():
            if isinstance(layer, LAYERS) and parametrize.is_parametrized(layer, "weight"):
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
                layer._forward_pre_hooks.clear()
                del layer._modules["rounded"]
        return made

    def on_graph(self, model: bytes, sight: Sight) -> bytes:
        """As `static_int8`."""
        return StaticInt8(calibrate=self.calibrate).on_graph(model, sight)


class RoundedWeight(nn.Module):
    """A weight as whole numbers of its scale, one scale an output; the gradient passes as if it were not."""

    def forward(self, w: Tensor) -> Tensor:
        scale = w.detach().abs().flatten(1).amax(1).clamp(min=1e-12).reshape(-1, *[1] * (w.ndim - 1)) / 127
        return w + ((w / scale).round().clamp(-127, 127) * scale - w).detach()


class RoundedInput(nn.Module):
    """An input as whole numbers between 0 and 255 over the range that was seen, zero among them."""

    low: Tensor
    high: Tensor

    def __init__(self, memory: float) -> None:
        super().__init__()
        self.memory = memory
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                low, high = x.amin().clamp(max=0), x.amax().clamp(min=0)
                new = bool(self.high == self.low)
                self.low.copy_(low if new else self.low.lerp(low, 1 - self.memory))
                self.high.copy_(high if new else self.high.lerp(high, 1 - self.memory))
        scale = ((self.high - self.low) / 255).clamp(min=1e-12)
        zero = (-self.low / scale).round()
        made = ((x / scale + zero).round().clamp(0, 255) - zero) * scale
        return x + (made - x).detach() if bool(self.high > self.low) else x


def _round_input(layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (layer.rounded(given[0]), *given[1:])  # pyright: ignore[reportCallIssue]


__all__ = ["QuantizeAware", "RoundedInput", "RoundedWeight"]
