"""Walks a network and fills it: weights by the init, biases with zeros, norms with ones and zeros.

Each weight is drawn by a generator of its own, keyed by the seed and the parameter's name, on the CPU and in float32. So a
weight does not depend on which other layers there are, in which order they were made, on the device or on the precision.

The forget gates of an LSTM begin open, with a bias of 1.   Source: Jozefowicz et al., ICML 2015, section 2.2.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from tuneful.techniques.inits.as_built import AsBuilt
from tuneful.techniques.inits.layers import NORMS, known, parts_of, weights
from tuneful.techniques.interfaces import Init


@torch.no_grad()
def apply_(net: nn.Module, init: Init, seed: int, *, sample: Tensor | None = None, twin: nn.Module | None = None) -> None:
    """Fill every Linear, convolution, embedding, attention, recurrent layer and norm of a network, in place.

    Args:
        net: any module. Names are counted from it: give the same module (the body) each time.
        init: what draws a weight.
        seed: any integer; with it and the name of a parameter, its weight is settled.
        sample, twin: what the init asks for with `looks` and `twin`.

    The last Linear or convolution has gain 1: nothing rectifies what it gives. So have attention and recurrent layers. A tied
    weight is filled once, under its first name. Parameters of other modules keep what they have (they were drawn by torch's
    global generator when the network was built), as do embeddings' padding rows, which stay zero.
    Raises: ModelError when the init cannot serve this network.
    """
    if isinstance(init, AsBuilt):
        return
    modules = list(net.named_modules())
    weighted = [m for _, m in modules if isinstance(m, nn.Linear | _ConvNd)]
    plain = {id(m) for m in weighted[-1:]} | {id(m.out_proj) for _, m in modules if isinstance(m, nn.MultiheadAttention)}
    drawer, filled = init.drawer, set[int]()
    for name, module in modules:
        if known(module):
            _reset_(module)
        for w in weights(module):
            if id(w.tensor) in filled:
                continue
            filled.add(id(w.tensor))
            drawn = torch.empty(w.tensor.shape, dtype=torch.float32)
            one = dice(seed, f"{name}.{w.name}".lstrip("."))
            gain = drawer.gain if w.hidden and id(module) not in plain else 1.0
            for part in parts_of(drawn, w) if drawer.joint else (drawn,):
                drawer.fill_(part, w.fan_in, w.fan_out, gain, one)
            if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.padding_idx is not None:
                drawn[module.padding_idx].zero_()
            w.tensor.copy_(drawn)
    init.settle_(net, sample, twin)


def _reset_(module: nn.Module) -> None:
    """Biases and norms as they begin."""
    for name, p in module.named_parameters(recurse=False):
        if name in ("bias", "in_proj_bias") or name.startswith(("bias_ih", "bias_hh")):
            p.zero_()
        elif isinstance(module, NORMS):
            p.fill_(1.0)
        if name.startswith("bias_ih") and isinstance(module, nn.LSTM | nn.LSTMCell):
            p.chunk(4)[1].fill_(1.0)
    if isinstance(module, _NormBase):
        module.reset_running_stats()


def dice(seed: int, name: str) -> torch.Generator:
    """A CPU generator that depends on the seed and a name alone, on every machine."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
