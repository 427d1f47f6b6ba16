"""LSUV (layer-sequential unit-variance): orthogonal weights, scaled by what the data do to them.

    for each Linear and convolution, in the order in which a batch meets them:   w /= sqrt(Var(w x))

The paper repeats this until the variance is near 1. A layer whose bias is zero gives what its weight gives, so one division
is exact, and since the hook that divides the weight divides the output too, one forward pass serves all layers.

Weights that no Linear or convolution is called with (inside nn.MultiheadAttention, recurrent layers, embeddings) stay as the
orthogonal init drew them. A module that is called twice is scaled by its first call. Norms are at their start, which in
evaluation mode is the identity; dropout is off.

Source: Mishkin & Matas, ICLR 2016, algorithm 1, arXiv:1511.06422.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from tuneful.core.config import Count
from tuneful.core.errors import ModelError
from tuneful.techniques.inits.orthogonal import Orthogonal
from tuneful.techniques.interfaces import Init


class LSUV(Init):
    """For deep networks without norms, whatever their activations: it asks the data for the scale."""

    source: ClassVar[str] = "Mishkin & Matas, ICLR 2016, arXiv:1511.06422"
    cost: ClassVar[str] = "orthogonal's, and one forward pass of the examples, once"

    kind: Literal["lsuv"] = "lsuv"
    examples: Count = 256  # of the training split, drawn by the seed, that are looked at

    @property
    def drawer(self) -> Init:
        """The orthogonal init."""
        return Orthogonal()

    @property
    def looks(self) -> int:
        """As many as `examples`."""
        return self.examples

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """As orthogonal; the scale does not last."""
        self.drawer.fill_(weight, fan_in, fan_out, gain, dice)

    @torch.no_grad()
    def settle_(self, net: nn.Module, sample: Tensor | None, twin: nn.Module | None) -> None:
        """Scale layer after layer. Raises ModelError when there are no examples, or a layer gives the same for all."""
        if sample is None:
            raise ModelError("init is lsuv, which needs examples to look at; none were given", "pass sample= to apply_")
        done: set[int] = set()
        names = {id(module): name for name, module in net.named_modules()}

        def scale_(module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
            weight: Any = module.weight
            if id(weight) in done:
                return None
            done.add(id(weight))
            std = output.float().std().item()
            if not math.isfinite(std) or std < 1e-12:
                raise ModelError(
                    f"init is lsuv, and what layer {names[id(module)] or type(module).__name__} gives for {len(sample)} examples "
                    f"has deviation {std:g}; it must be finite and not 0",
                    "look for constant inputs and for activations that are off for all of them, or take another init",
                )
            weight.div_(std)
            return output / std

        modes = [(module, module.training) for module in net.modules()]
        hooks = [m.register_forward_hook(scale_) for m in net.modules() if isinstance(m, nn.Linear | _ConvNd)]
        try:
            net.eval()
            net(sample)
        finally:
            for hook in hooks:
                hook.remove()
            for module, mode in modes:
                module.training = mode
