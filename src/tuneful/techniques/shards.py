"""Tensors of which each process holds a share: torch's DTensor, seen from what knows nothing of processes.

Where weights are sharded (pipeline.ranks.sharded), a parameter, its gradient and its state are DTensors: their shape is that of the
whole, their memory that of the share. What moves every number by itself works on the shares; what draws at random draws for the
whole, from the same key on every process, and takes the share, so that the number of processes changes nothing.

Nothing of torch.distributed is imported here; where there are no shares, none of it is loaded.
"""

from __future__ import annotations

import sys
from typing import Any

from torch import Tensor


def sharded(x: Any) -> bool:
    """Does each process hold a share of it?"""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(x, module.DTensor)


def local(x: Any) -> Any:
    """The share of this process, in the same memory; anything else as it is."""
    return x.to_local() if sharded(x) else x


def share_of(whole: Tensor, like: Tensor) -> Tensor:
    """`whole`, which every process has, parted as `like` is; itself where `like` is not parted."""
    if not sharded(like) or sharded(whole):
        return whole
    given: Any = like
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole, given.device_mesh, given.placements, src_data_rank=None)


def whole(x: Any) -> Any:
    """A sharded tensor put together, the same on every process, all of which must call this; anything else as it is."""
    return x.full_tensor() if sharded(x) else x


__all__ = ["local", "share_of", "sharded", "whole"]
