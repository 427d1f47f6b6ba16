"""How much memory a step keeps for its backward pass, counted tensor by tensor, so that it is known on a CPU as well.

    with kept_bytes(network) as kept: ...      # a step
    print(kept())

Each storage counts once; weights and buffers, which are there anyway, do not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def kept_bytes(network: nn.Module) -> Generator[Callable[[], int]]:
    """What it yields gives the bytes that autograd was handed inside, beside what is the network's own."""
    storages: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    def total() -> int:
        own = {tensor.untyped_storage().data_ptr() for tensor in network.state_dict().values()}
        return sum(size for place, size in storages.items() if place not in own)

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        yield total
