"""Which weights a module holds, and how many numbers enter and leave each.

Some parameters are several maps in one tensor, one behind the other along the first axis: the groups of a convolution, the
gates of a recurrent layer, queries, keys and values. Each of these parts is a weight of its own, which counts where the
numbers of a weight depend on one another (a rotation). A table of embeddings is drawn in squares there, so that a row of an
orthogonal one has the length that a row of any other has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.rnn import RNNCellBase

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
RECURRENT = (nn.RNNBase, RNNCellBase)


@dataclass(frozen=True)
class Weight:
    """One parameter of two or more axes, and how it is read."""

    name: str  # in its module
    tensor: Tensor
    fan_in: int  # numbers that enter one output of a part
    fan_out: int  # outputs of a part that one input enters
    parts: int = 1  # along the first axis, each a map of its own
    rows: int = 0  # of a part, where the last one may be smaller; 0: all are equal
    reads: int = 1  # the axis along which inputs lie
    writes: int = 0  # the axis along which outputs lie
    hidden: bool = True  # a rectifier may follow; what attention and recurrent layers give meets none


def weights(module: nn.Module) -> list[Weight]:
    """The weights that a module holds itself, without its children's; [] for a module that is not known.

    Of a convolution the window counts and the groups divide. A row of an embedding is one vector that is read as it is: both
    of its fans are its length.
    """
    if isinstance(module, nn.Linear):
        return [Weight("weight", module.weight, module.in_features, module.out_features)]
    if isinstance(module, _ConvNd):
        window, groups = math.prod(module.kernel_size), module.groups
        fans = module.in_channels // groups * window, module.out_channels // groups * window
        turned = isinstance(module, _ConvTransposeNd)
        return [Weight("weight", module.weight, *fans, groups, reads=0 if turned else 1, writes=1 if turned else 0)]
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        length = module.embedding_dim
        return [Weight("weight", module.weight, length, length, rows=length, reads=0, writes=1)]
    if isinstance(module, nn.MultiheadAttention):
        projections = [(n, p) for n, p in module.named_parameters(recurse=False) if n.endswith("proj_weight")]
        return [_stacked(n, p, 3 if n == "in_proj_weight" else 1) for n, p in projections]
    if isinstance(module, RECURRENT):
        return [_stacked(n, p, gates(module)) for n, p in module.named_parameters(recurse=False) if p.ndim == 2]
    return []


def _stacked(name: str, p: Tensor, parts: int) -> Weight:
    parts = 1 if name.startswith("weight_hr") else parts  # what makes the state of an LSTM smaller has no gates
    return Weight(name, p, p.shape[1], p.shape[0] // parts, parts, hidden=False)


def gates(module: nn.Module) -> int:
    """How many maps a recurrent layer keeps in one tensor: input, forget, cell, output; reset, update, new; or one."""
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return 4
    return 3 if isinstance(module, nn.GRU | nn.GRUCell) else 1


def parts_of(drawn: Tensor, weight: Weight) -> Sequence[Tensor]:
    """The parts of a tensor that is shaped as a weight, as views."""
    return drawn.split(weight.rows or drawn.shape[0] // weight.parts)


def known(module: nn.Module) -> bool:
    """Whether an init fills this module itself."""
    return bool(weights(module)) or isinstance(module, NORMS)
