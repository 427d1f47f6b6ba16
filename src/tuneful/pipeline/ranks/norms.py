"""Batch norms whose batch is that of all ranks: means and variances over every row, wherever it is computed.

    n = sum n_r;   mean = sum n_r mean_r / n;   var = sum n_r (var_r + (mean_r - mean)^2) / n
    dx = w / sigma (dy - sum dy / n - x^ sum (dy x^) / n)          sums over the rows of all ranks

Sums over ranks are taken in float64, one message forwards and one backwards. `torch.nn.SyncBatchNorm` does the same on GPUs
alone. Source: Ioffe & Szegedy, ICML 2015; the sums of parts: Chan, Golub & LeVeque 1979.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function
from torch.nn.modules.batchnorm import _BatchNorm

from tuneful.pipeline.ranks.group import Ranks


class _Normalized(Function):
    """x normalized by the statistics of all ranks; those are given back too, for the running ones."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, ranks: Ranks) -> Any:
        kept = x if x.dtype == torch.float64 else x.float()
        axes = [axis for axis in range(x.ndim) if axis != 1]
        var, mean = torch.var_mean(kept, axes, correction=0)
        told = torch.zeros(ranks.world, 2 * len(mean) + 1, dtype=torch.float64, device=x.device)
        told[ranks.rank] = torch.cat([mean.double(), var.double(), mean.new_tensor([x.numel() / x.shape[1]]).double()])
        ranks.sum_(told)
        means, variances, counts = told[:, : len(mean)], told[:, len(mean) : -1], told[:, -1:]
        n = counts.sum()
        whole = (counts * means).sum(0) / n
        spread = (counts * (variances + (means - whole) ** 2)).sum(0) / n
        mean, scale = whole.to(kept.dtype), (spread + eps).rsqrt().to(kept.dtype)
        shape = (1, -1) + (1,) * (x.ndim - 2)
        hat = (kept - mean.view(shape)) * scale.view(shape)
        y = hat if weight is None else hat * weight.view(shape)
        y = y if bias is None else y + bias.view(shape)
        ctx.save_for_backward(x, mean, scale, weight)
        ctx.ranks, ctx.n, ctx.axes, ctx.shape, ctx.biased = ranks, n, axes, shape, bias is not None
        spread, unbiased = spread.to(kept.dtype), (spread * n / (n - 1).clamp(min=1)).to(kept.dtype)
        ctx.mark_non_differentiable(mean, unbiased)
        return y.to(x.dtype), mean, unbiased

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, mean, scale, weight = ctx.saved_tensors
        dy = grads[0].to(mean.dtype)
        hat = (x.to(mean.dtype) - mean.view(ctx.shape)) * scale.view(ctx.shape)
        sums = torch.stack([dy.sum(ctx.axes), (dy * hat).sum(ctx.axes)])
        whole = sums.to(torch.float64, copy=True)
        ctx.ranks.sum_(whole)
        over = (whole / ctx.n).to(mean.dtype)
        dx = dy - over[0].view(ctx.shape) - hat * over[1].view(ctx.shape)
        factor = scale if weight is None else scale * weight
        own = sums.to(mean.dtype)
        return (
            (dx * factor.view(ctx.shape)).to(x.dtype),
            own[1] if weight is not None else None,
            own[0] if ctx.biased else None,
            None,
            None,
        )


def norms(body: nn.Module) -> list[_BatchNorm]:
    """The batch norms of a body."""
    return [one for one in body.modules() if isinstance(one, _BatchNorm)]


@contextlib.contextmanager
def together(found: Sequence[_BatchNorm], ranks: Ranks) -> Generator[None]:
    """Inside, these norms see the rows of all ranks while they train."""
    for norm in found:
        norm.__dict__["forward"] = partial(_forward, norm, ranks)
    try:
        yield
    finally:
        for norm in found:
            del norm.__dict__["forward"]


def _forward(norm: _BatchNorm, ranks: Ranks, x: Tensor) -> Tensor:
    if not norm.training:
        return type(norm).forward(norm, x)
    norm._check_input_dim(x)
    y, mean, var = _Normalized.apply(x, norm.weight, norm.bias, norm.eps, ranks)
    if norm.track_running_stats and norm.running_mean is not None and norm.running_var is not None:
        share = norm.momentum
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
            share = 1.0 / float(norm.num_batches_tracked) if share is None else share
        with torch.no_grad():
            norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share or 0.0)
            norm.running_var.lerp_(var.to(norm.running_var.dtype), share or 0.0)
    return y


__all__ = ["norms", "together"]
