"""Dropout by rows: each rank draws for the whole batch, from the same key, and takes the rows that are its own.

    with Rows(part, of): z = body(x)          # x: rows `part` of a batch of `of`

So what is left out does not depend on how many ranks there are. It holds for what draws one number (or one mask) for each row: torch's
dropouts in all their forms, `rand_like`, `randn_like`, `bernoulli`, where axis 0 is the batch, or the batch times what a network makes of
each row. Drawing costs what it costs a process that has the whole batch; the rest of a step is shared.

Draws inside of torch's own fused kernels (dropout of `nn.LSTM`, of attention) cannot be taken apart: there each rank has a key of its
own, and only the distribution is that of one process (`fused`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

DROPOUTS = (
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout,
    torch.rand_like, torch.randn_like, torch.bernoulli,
)  # fmt: skip


class Rows(TorchFunctionMode):
    """part: the rows of this rank, of `of` rows of the batch."""

    def __init__(self, part: slice, of: int) -> None:
        super().__init__()
        self.part, self.of = part, of
        self.mine = part.stop - part.start

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in DROPOUTS or not args or not _drawn(func, args, kwargs) or not self._rows(args[0]):
            return func(*args, **kwargs)
        x: Tensor = args[0]
        times = len(x) // self.mine
        whole = _like(x, self.of * times)
        start, stop = self.part.start * times, self.part.stop * times
        if func is F.dropout:
            # A mask for every number: what is left of ones.
            return x * func(whole.fill_(1), *args[1:], **{**kwargs, "inplace": False})[start:stop]
        whole.zero_()[start:stop] = x.detach() if func in (torch.rand_like, torch.randn_like) else x
        return func(whole, *args[1:], **kwargs)[start:stop]

    def _rows(self, x: Any) -> bool:
        return (
            isinstance(x, Tensor) and x.ndim > 0 and self.mine > 0 and len(x) > 0 and len(x) % self.mine == 0
            and not isinstance(x, nn.Parameter)
        )  # fmt: skip


def _drawn(func: Callable[..., Any], args: Any, kwargs: Any) -> bool:
    """Is a number drawn at all? Not where dropout is switched off."""
    if func not in DROPOUTS[:6]:
        return True
    p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
    training = args[2] if len(args) > 2 else kwargs.get("training", True)
    return bool(training) and p > 0


def _like(x: Tensor, rows: int) -> Tensor:
    """An empty tensor of so many rows that lies in memory as x does, since the order of draws follows the memory."""
    order = sorted(range(x.ndim), key=lambda axis: -x.stride(axis))
    shape = (rows, *x.shape[1:])
    back = [order.index(axis) for axis in range(x.ndim)]
    return torch.empty([shape[axis] for axis in order], dtype=x.dtype, device=x.device).permute(back)


def fused(body: nn.Module) -> bool:
    """Are there draws in it that cannot be taken apart by rows?"""
    return any(
        (isinstance(one, nn.RNNBase) and one.dropout > 0 and one.num_layers > 1)
        or (isinstance(one, nn.MultiheadAttention) and one.dropout > 0)
        for one in body.modules()
    )


__all__ = ["Rows", "fused"]
