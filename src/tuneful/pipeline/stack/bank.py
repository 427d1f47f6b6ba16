"""The weights of K networks of one structure as one tensor each, [K, *shape], of which every network holds its own row.

    bank = Bank([net_0, net_1, ...])
    bank.tensors["0.weight"]                  # [K, *shape]; net_k's own weight is row k, in the same memory
    Bank.free(net_0)                          # its numbers are its own again

So whatever works on one network (its optimizer, its average, its state) works on the row, and whatever works on the stack works
on all of them. Nothing is copied but when members come and go: one tensor after the other, so that memory never holds two stacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


def parts(net: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a network by name; a tensor of two names (tied weights) once."""
    return {**dict(net.named_parameters()), **dict(net.named_buffers())}


def laid(rows: Sequence[Tensor]) -> Tensor:
    """Tensors of one shape as one, [K, *shape], of which each of them holds its own row from now on."""
    together = torch.stack([row.detach() for row in rows])
    for row, place in zip(rows, together.unbind(0), strict=True):
        row.data = place
    return together


def freed(tensor: Tensor) -> None:
    """Give a tensor memory of its own again."""
    tensor.data = tensor.detach().clone()


class Bank:
    """nets: of one structure, in the order of the rows."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        all_of = [parts(net) for net in nets]
        self.tensors: dict[str, Tensor] = {name: laid([one[name] for one in all_of]) for name in all_of[0]}
        self.trained = [name for name, p in nets[0].named_parameters() if p.requires_grad]
        self._leaves: dict[tuple[int, int], dict[str, Tensor]] = {}
        self._others: dict[tuple[int, int], dict[str, Tensor]] = {}

    def leaves(self, begin: int, end: int) -> dict[str, Tensor]:
        """Rows begin .. end of what is trained, as tensors that gradients are taken of."""
        if (begin, end) not in self._leaves:
            rows = {name: self.tensors[name][begin:end].detach().requires_grad_() for name in self.trained}
            self._leaves[begin, end] = rows
        return self._leaves[begin, end]

    def others(self, begin: int, end: int) -> Mapping[str, Tensor]:
        """Rows begin .. end of buffers and of parameters that are not trained."""
        if (begin, end) not in self._others:
            others = {name: t[begin:end] for name, t in self.tensors.items() if name not in self.trained}
            self._others[begin, end] = others
        return self._others[begin, end]

    @staticmethod
    def free(net: nn.Module) -> None:
        """Give a network's tensors memory of their own again."""
        for tensor in parts(net).values():
            freed(tensor)
