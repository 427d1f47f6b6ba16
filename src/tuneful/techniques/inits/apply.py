"""Walks a network and fills it: weights by the init, biases with zeros, norms with ones and zeros.

Each weight is drawn by a generator of its own, keyed by the seed and the parameter's name, on the CPU and in float32. So a
weight does not depend on which other layers there are, in which order they were made, on the device or on the precision.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from tuneful.techniques.inits.as_built import AsBuilt
from tuneful.techniques.interfaces import Init

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@torch.no_grad()
def apply_(net: nn.Module, init: Init, seed: int) -> None:
    """Fill every Linear, convolution, embedding and norm of a network, in place.

    Args:
        net: any module. Names are counted from it: give the same module (the body) each time.
        init: what draws a weight.
        seed: any integer; with it and the name of a parameter, its weight is settled.

    The last Linear or convolution has gain 1: nothing rectifies what it gives. A tied weight is filled once, under its first
    name. Parameters of other modules keep what they have (they were drawn by torch's global generator when the network was
    built), as do embeddings' padding rows, which stay zero.
    """
    if isinstance(init, AsBuilt):
        return
    layers = [(name, m) for name, m in net.named_modules() if isinstance(m, (nn.Linear, nn.Embedding, _ConvNd, *NORMS))]
    weighted = [m for _, m in layers if isinstance(m, nn.Linear | _ConvNd)]
    last = weighted[-1] if weighted else None
    filled: set[int] = set()
    for name, module in layers:
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(bias, Tensor):
            bias.zero_()
        if isinstance(module, NORMS):
            if isinstance(weight, Tensor):
                weight.fill_(1.0)
            if isinstance(module, _NormBase):
                module.reset_running_stats()
        elif isinstance(weight, Tensor) and id(weight) not in filled:
            filled.add(id(weight))
            drawn = torch.empty(weight.shape, dtype=torch.float32)
            init.fill_(drawn, *fans(module), 1.0 if module is last else init.gain, dice(seed, f"{name}.weight".lstrip(".")))
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                drawn[module.padding_idx].zero_()
            weight.copy_(drawn)


def dice(seed: int, name: str) -> torch.Generator:
    """A CPU generator that depends on the seed and a name alone, on every machine."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def fans(module: nn.Module) -> tuple[int, int]:
    """How many numbers enter one output of a layer, and how many outputs one input enters.

    Of a convolution, its window counts and its groups divide. A row of an embedding is one vector that is read as it is:
    both are its length.
    """
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, _ConvNd):
        window = math.prod(module.kernel_size)
        return module.in_channels // module.groups * window, module.out_channels // module.groups * window
    if isinstance(module, nn.Embedding):
        return module.embedding_dim, module.embedding_dim
    raise TypeError(f"{type(module).__name__} is no layer whose fans are known")
