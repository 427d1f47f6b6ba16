"""LoRA: the weights stay, a difference of low rank is learned.

    y = layer(x) with weight W + (alpha / rank) B A;    A [rank, inputs] normal, B [outputs, rank] zero: the first step begins at W

Linear layers add B (A x), embeddings B A[:, word]; a convolution adds B A to its weight before it slides. `merged_` puts the
difference into the weight, so that what is exported has the size and speed of the original.

Source: Hu et al., ICLR 2022, arXiv:2106.09685.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

LAYERS = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Lora(nn.Module):
    """A layer whose own weights are frozen, and a difference of low rank."""

    def __init__(self, base: nn.Linear | nn.Embedding | _ConvNd, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        outputs, inputs = len(base.weight), base.weight[0].numel()
        if isinstance(base, nn.Embedding):  # [words, width]: a word's row of A, then B
            outputs, inputs = inputs, outputs
        self.scale = alpha / rank
        self.down = nn.Parameter(base.weight.new_empty(rank, inputs))
        self.up = nn.Parameter(base.weight.new_zeros(outputs, rank))
        nn.init.normal_(self.down, std=1 / math.sqrt(rank if isinstance(base, nn.Embedding) else inputs))

    @property
    def weight(self) -> Tensor:
        """The frozen weight; some libraries ask a layer for its type and device by it."""
        return self.base.weight

    def difference(self) -> Tensor:
        """What is added to the weight, in its shape."""
        product = self.up @ self.down * self.scale
        return (product.T if isinstance(self.base, nn.Embedding) else product).reshape(self.base.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        base = self.base
        if isinstance(base, nn.Linear):
            return base(x) + F.linear(F.linear(x, self.down), self.up) * self.scale
        if isinstance(base, nn.Embedding):
            return base(x) + F.embedding(x, self.down.T) @ self.up.T * self.scale
        return base._conv_forward(x, base.weight + self.difference(), base.bias)  # pyright: ignore

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """The layer itself, with the difference in its weight."""
        if isinstance(self.base, nn.Embedding) and self.base.padding_idx is not None:
            self.down[:, self.base.padding_idx] = 0
        self.base.weight += self.difference()
        return self.base


def adapt_(net: nn.Module, rank: int, alpha: float, fits: Callable[[str], bool]) -> list[str]:
    """Put an adapter around every Linear, convolution and embedding whose name fits, in place; their names.

    Left alone: transposed convolutions, layers with `max_norm`, those inside nn.MultiheadAttention (it takes their weights, and
    does not call them), and those whose weight is shared with another layer (a difference would part them).
    """
    shared: dict[int, int] = {}
    for module in net.modules():
        for p in module.parameters(recurse=False):
            shared[id(p)] = shared.get(id(p), 0) + 1
    found: list[str] = []
    for parent_name, parent in list(net.named_modules()):
        for name, layer in list(parent.named_children()):
            full = f"{parent_name}.{name}".lstrip(".")
            if not isinstance(layer, LAYERS) or isinstance(layer, NonDynamicallyQuantizableLinear | _ConvTransposeNd):
                continue
            if shared[id(layer.weight)] > 1 or (isinstance(layer, nn.Embedding) and layer.max_norm) or not fits(full):
                continue
            setattr(parent, name, Lora(layer, rank, alpha))
            found.append(full)
    return found


def merged_(net: nn.Module) -> nn.Module:
    """The network without adapters, their differences in the weights; in place."""
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, Lora):
                setattr(parent, name, layer.merged())
    return net
