"""Chains of usual layers, stacked by hand: one product of matrices for all members where vmap would take many calls.

    h    [K, B, ...]            or, where convolutions follow one another, wide: [B, K * C, H, W], in groups of C channels
    Linear                      h W^T + b          one batched product (baddbmm); one plain product where all see the same batch
    Conv, BatchNorm, GroupNorm  of K * C channels in K groups, which torch's own kernels know
    Embedding                   one table of K * V rows

`chain` gives None where a network holds anything else; vmap then does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuneful.pipeline.stack.chance import Streams
from tuneful.pipeline.vitals import watched
from tuneful.techniques.models.mlp import Added
from tuneful.techniques.regularizers.dropout import ChannelDropout

EACH = (
    nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.ELU, nn.SELU, nn.Mish, nn.Softplus, nn.Hardswish, nn.ReLU6,
    nn.Hardtanh, nn.Hardsigmoid, nn.Softsign, nn.Identity, nn.CELU, nn.LogSigmoid, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink,
)  # fmt: skip
"""Modules that act on each number by itself."""
MAPS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
"""Modules that act on each channel of an image by itself."""
Tensors = Mapping[str, Tensor]


@dataclass
class Flow:
    """What goes along a chain. h: see above; k: members; shared: h is [B, ...], the same for all of them; wide: see above; sight:
    what is told of layers on the way, where somebody looks."""

    h: Tensor
    k: int
    shared: bool = False
    wide: bool = False
    sight: Any = None

    def stacked(self) -> Tensor:
        """As [K, B, ...]."""
        if self.wide:
            self.h, self.wide = self.h.unflatten(1, (self.k, -1)).transpose(0, 1), False
        if self.shared:
            self.h, self.shared = self.h.expand(self.k, *self.h.shape), False
        return self.h

    def widened(self) -> Tensor:
        """As [B, K * C, ...]."""
        if not self.wide:
            self.h, self.wide = self.stacked().transpose(0, 1).flatten(1, 2), True
        return self.h


Link = Callable[[Flow, Tensors, Streams | None], None]


def chain(net: nn.Module, prefix: str = "") -> list[Link] | None:
    """The links of a network that is a chain of known layers; None where it is not."""
    if net._forward_hooks or net._forward_pre_hooks:  # something acts on its way
        return None
    if isinstance(net, nn.Sequential) and type(net).forward is nn.Sequential.forward:
        links: list[Link] = []
        for name, part in net.named_children():
            found = chain(part, f"{prefix}{name}.")
            if found is None:
                return None
            links += found
        return links
    if type(net) is Added:
        inner = _row(net, prefix)
        return None if inner is None else [_added(inner)]
    for types, make in LINKS:
        if type(net) in types:
            link = make(net, prefix)
            return None if link is None else [link]
    return None


def _row(net: nn.Sequential, prefix: str) -> list[Link] | None:
    found = [chain(part, f"{prefix}{name}.") for name, part in net.named_children()]
    return None if any(one is None for one in found) else [link for one in found for link in one or ()]


def run(
    links: list[Link], x: Tensor, k: int, shared: bool, tensors: Tensors, streams: Streams | None, sight: Any = None
) -> Tensor:
    """x [K, B, ...], or [B, ...] where shared, through a chain: [K, B, ...]. streams: in training alone; sight: see `Flow`."""
    flow = Flow(x, k, shared, sight=sight)
    for link in links:
        link(flow, tensors, streams)
    return flow.stacked()


# ------------------------------------------------------------------------------------------------------------- links


def _each(net: nn.Module, prefix: str) -> Link:
    bounded = bool(watched(net))

    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        flow.h = net(flow.h)
        if bounded and flow.sight is not None:
            flow.sight.bounded(prefix[:-1], net, flow.stacked())

    return link


def _flatten(net: Any, prefix: str) -> Link | None:
    if (net.start_dim, net.end_dim) != (1, -1):
        return None

    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        flow.h = flow.h.flatten(1) if flow.shared else flow.stacked().flatten(2)

    return link


def _linear(net: Any, prefix: str) -> Link:
    weight, bias = f"{prefix}weight", f"{prefix}bias" if net.bias is not None else ""

    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        w = tensors[weight]
        b = tensors[bias].unsqueeze(1) if bias else None
        if flow.shared and flow.h.ndim == 2:
            y = (flow.h @ w.flatten(0, 1).t()).unflatten(1, w.shape[:2]).transpose(0, 1)
            flow.h, flow.shared = y if b is None else y + b, False
            return
        h = flow.stacked()
        y = _Products.apply(h if h.ndim == 3 else h.flatten(1, -2), w, b)
        flow.h = y if h.ndim == 3 else y.unflatten(1, h.shape[1:-1])

    return link


NARROW = 32  # outputs below which W x^T is the faster product, up to 2.7 times at ten outputs


class _Products(torch.autograd.Function):
    """x W^T + b of K members, as (W x^T)^T where outputs are few. What autograd makes of it hands back the gradient of W^T, whose
    numbers lie in the wrong order for the optimizer's kernels; this hands back that of W."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.biased = b is not None
        if w.shape[1] < NARROW:
            xt = x.transpose(1, 2)
            return (torch.bmm(w, xt) if b is None else torch.baddbmm(b.transpose(1, 2), w, xt)).transpose(1, 2)
        wt = w.transpose(1, 2)
        return torch.bmm(x, wt) if b is None else torch.baddbmm(b, x, wt)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (g,) = grads
        x, w = ctx.saved_tensors
        gx = torch.bmm(g, w.to(g.dtype)) if ctx.needs_input_grad[0] else None
        gb = g.sum(1, keepdim=True) if ctx.biased else None
        return gx, torch.bmm(g.transpose(1, 2), x.to(g.dtype)), gb


def _conv(net: Any, prefix: str) -> Link | None:
    if net.padding_mode != "zeros":
        return None
    weight, bias = f"{prefix}weight", f"{prefix}bias" if net.bias is not None else ""
    conv: Any = F.conv2d if isinstance(net, nn.Conv2d) else F.conv1d

    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        w, b = tensors[weight].flatten(0, 1), tensors[bias].flatten() if bias else None
        if flow.shared and net.groups == 1:  # all filters look at one batch
            flow.h, flow.shared, flow.wide = conv(flow.h, w, b, net.stride, net.padding, net.dilation), False, True
            return
        x = flow.widened()
        flow.h = conv(x, w, b, net.stride, net.padding, net.dilation, net.groups * flow.k)

    return link


def _maps(net: nn.Module, prefix: str) -> Link:
    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        flow.h = net(flow.h if flow.shared else flow.widened())

    return link


def _batch_norm(net: Any, prefix: str) -> Link | None:
    if not net.track_running_stats or net.momentum is None:
        return None
    names = [f"{prefix}{n}" for n in ("running_mean", "running_var")]
    affine = [f"{prefix}{n}" for n in ("weight", "bias")] if net.affine else []
    count = f"{prefix}num_batches_tracked"

    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        training = streams is not None
        narrow = not flow.wide and flow.stacked().ndim == 3
        x = flow.widened()
        mean, var = (tensors[n].view(-1) for n in names)
        w, b = (tensors[n].flatten() for n in affine) if affine else (None, None)
        flow.h = F.batch_norm(x, mean, var, w, b, training, net.momentum, net.eps)
        if training:
            tensors[count].add_(1)
            if flow.sight is not None:
                flow.sight.norm(prefix[:-1], net, x, tensors)
        if narrow:
            flow.stacked()

    return link


def _group_norm(net: Any, prefix: str) -> Link:
    affine = [f"{prefix}{n}" for n in ("weight", "bias")] if net.affine else []

    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        w, b = (tensors[n].flatten() for n in affine) if affine else (None, None)
        narrow = not flow.wide and flow.stacked().ndim == 3
        flow.h = F.group_norm(flow.widened(), net.num_groups * flow.k, w, b, net.eps)
        if narrow:
            flow.stacked()

    return link


def _layer_norm(net: Any, prefix: str) -> Link:
    affine = [f"{prefix}{n}" for n in ("weight", "bias") if getattr(net, n) is not None]

    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        h = F.layer_norm(flow.stacked(), net.normalized_shape, None, None, net.eps)
        for name in affine:
            row = tensors[name]
            row = row.view(len(row), *[1] * (h.ndim - row.ndim), *row.shape[1:])
            h = h * row if name.endswith("weight") else h + row
        flow.h = h

    return link


def _dropout(net: Any, prefix: str) -> Link:
    function = FUNCTIONS[type(net)]

    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        if streams is not None and streams.active:
            flow.h = streams.dropped(flow.stacked(), function)

    return link


def _channels(net: Any, prefix: str) -> Link:
    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        if streams is not None and net.p > 0:
            h = flow.stacked()
            flow.h = h * streams.dropped(h.new_ones(*h.shape[:3], *[1] * (h.ndim - 3)))

    return link


def _embedding(net: Any, prefix: str) -> Link | None:
    if net.max_norm is not None or net.scale_grad_by_freq or net.sparse:
        return None
    weight = f"{prefix}weight"

    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        w, x = tensors[weight], flow.stacked()
        at = x + _offsets(w, x)
        y = F.embedding(at, w.flatten(0, 1))
        if net.padding_idx is not None:  # no gradient reaches that row
            y = torch.where((x == net.padding_idx).unsqueeze(-1), y.detach(), y)
        flow.h = y

    return link


def _bag(net: Any, prefix: str) -> Link | None:
    if net.max_norm is not None or net.scale_grad_by_freq or net.sparse or net.mode == "max" or net.padding_idx is not None:
        return None
    weight = f"{prefix}weight"

    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        w, x = tensors[weight], flow.stacked()
        at = (x + _offsets(w, x)).flatten(0, 1)
        flow.h = F.embedding_bag(at, w.flatten(0, 1), mode=net.mode).unflatten(0, x.shape[:2])

    return link


def _offsets(w: Tensor, x: Tensor) -> Tensor:
    return (torch.arange(len(w), device=x.device) * w.shape[1]).view(-1, *[1] * (x.ndim - 1))


def _added(inner: list[Link]) -> Link:
    def link(flow: Flow, tensors: Tensors, streams: Streams | None) -> None:
        h = flow.stacked()
        own = Flow(h, flow.k, sight=flow.sight)
        for one in inner:
            one(own, tensors, streams)
        flow.h = h + own.stacked()

    return link


FUNCTIONS: dict[type[nn.Module], Any] = {
    nn.Dropout: F.dropout, nn.Dropout1d: F.dropout1d, nn.Dropout2d: F.dropout2d, nn.Dropout3d: F.dropout3d,
    nn.AlphaDropout: F.alpha_dropout, nn.FeatureAlphaDropout: F.feature_alpha_dropout,
}  # fmt: skip
LINKS: tuple[tuple[tuple[type[nn.Module], ...], Callable[[Any, str], Link | None]], ...] = (
    (EACH, _each),
    ((nn.Flatten,), _flatten),
    ((nn.Linear,), _linear),
    ((nn.Conv1d, nn.Conv2d), _conv),
    (MAPS, _maps),
    ((nn.BatchNorm1d, nn.BatchNorm2d), _batch_norm),
    ((nn.GroupNorm,), _group_norm),
    ((nn.LayerNorm,), _layer_norm),
    (tuple(FUNCTIONS), _dropout),
    ((ChannelDropout,), _channels),
    ((nn.Embedding,), _embedding),
    ((nn.EmbeddingBag,), _bag),
)
