"""Chains of linear layers and what acts on each number, there and back by hand: what autograd would call, without its calls.

    y^T = W h^T + b,     W' = g^T h,  b' = sum_B g^T,  h'^T = W^T g^T          [K, F, B]: features before examples

In this layout every product of small matrices takes both factors as they lie, and a softmax over few classes is one over numbers of
vectors. With 32 members of 32-32-10 and batches of 32, autograd's way took 690 microseconds there and back, this takes 200 (LOG.md).

`manual` gives None where a network holds anything else; autograd then goes back through the chain, or through vmap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tuneful.pipeline.stack.chance import Streams
from tuneful.pipeline.vitals import watched
from tuneful.techniques.models.mlp import Added

Tensors = Mapping[str, Tensor]
aten: Any = torch.ops.aten
BACK: dict[type[nn.Module], Callable[[Any, Tensor, Tensor, Tensor], Tensor]] = {
    nn.ReLU: lambda net, g, x, y: aten.threshold_backward(g, y, 0),
    nn.Tanh: lambda net, g, x, y: aten.tanh_backward(g, y),
    nn.Sigmoid: lambda net, g, x, y: aten.sigmoid_backward(g, y),
    nn.GELU: lambda net, g, x, y: aten.gelu_backward(g, x, approximate=net.approximate),
    nn.SiLU: lambda net, g, x, y: aten.silu_backward(g, x),
    nn.LeakyReLU: lambda net, g, x, y: aten.leaky_relu_backward(g, x, net.negative_slope, False),
    nn.Identity: lambda net, g, x, y: g,
}
"""An activation -> the gradient of what it took, from that of what it gave, what it took and what it gave."""


class Piece(Protocol):
    """One layer. What it keeps on the way there is gone after the way back."""

    def there(self, h: Tensor, tensors: Tensors, streams: Streams | None, sight: Any) -> Tensor:
        """h^T [K, F, B] -> what the layer gives."""
        ...

    def back(self, g: Tensor, tensors: Tensors, grads: dict[str, Tensor], first: bool) -> Tensor | None:
        """The gradient of what it gave -> of what it took; None where it is the first to have weights. Those of weights go into grads."""
        ...


class Linear:
    """W h + b."""

    def __init__(self, net: nn.Linear, prefix: str) -> None:
        self.weight, self.bias = f"{prefix}weight", f"{prefix}bias" if net.bias is not None else ""

    def there(self, h: Tensor, tensors: Tensors, streams: Streams | None, sight: Any) -> Tensor:
        self.h, w = h, tensors[self.weight]
        return torch.baddbmm(tensors[self.bias].unsqueeze(2), w, h) if self.bias else torch.bmm(w, h)

    def back(self, g: Tensor, tensors: Tensors, grads: dict[str, Tensor], first: bool) -> Tensor | None:
        h = self.h
        del self.h
        grads[self.weight] = torch.bmm(g, h.transpose(1, 2))
        if self.bias:
            grads[self.bias] = g.sum(2)
        return None if first else torch.bmm(tensors[self.weight].transpose(1, 2), g)


class Each:
    """An activation."""

    def __init__(self, net: nn.Module, prefix: str) -> None:
        self.net, self.name, self.bounded, self.rule = net, prefix[:-1], bool(watched(net)), BACK[type(net)]

    def there(self, h: Tensor, tensors: Tensors, streams: Streams | None, sight: Any) -> Tensor:
        y = torch.relu(h) if type(self.net) is nn.ReLU else self.net(h)
        self.kept = h, y
        if self.bounded and sight is not None:
            sight.bounded(self.name, self.net, y.transpose(1, 2))
        return y

    def back(self, g: Tensor, tensors: Tensors, grads: dict[str, Tensor], first: bool) -> Tensor | None:
        x, y = self.kept
        del self.kept
        return self.rule(self.net, g, x, y)


class Drop:
    """Dropout: each member's own draws, in the order in which it draws alone."""

    def there(self, h: Tensor, tensors: Tensors, streams: Streams | None, sight: Any) -> Tensor:
        self.factor: Tensor | None = None
        if streams is None or not streams.active:
            return h
        mask = streams.factor(h.transpose(1, 2))
        if mask is None:
            return h
        self.factor = mask.transpose(1, 2).contiguous()
        return h * self.factor

    def back(self, g: Tensor, tensors: Tensors, grads: dict[str, Tensor], first: bool) -> Tensor | None:
        return g if self.factor is None else g * self.factor


class Sum:
    """Layers whose result is added to what they were given."""

    def __init__(self, inner: Sequence[Piece]) -> None:
        self.inner = inner

    def there(self, h: Tensor, tensors: Tensors, streams: Streams | None, sight: Any) -> Tensor:
        y = h
        for piece in self.inner:
            y = piece.there(y, tensors, streams, sight)
        return h + y

    def back(self, g: Tensor, tensors: Tensors, grads: dict[str, Tensor], first: bool) -> Tensor | None:
        own = _back(self.inner, g, tensors, grads, first)
        return None if own is None else g + own


class Manual:
    """A whole chain. Layers that flatten examples stand before all others."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces

    def there(self, x: Tensor, tensors: Tensors, streams: Streams | None, k: int, shared: bool, sight: Any = None) -> Tensor:
        """x [K, B, ...], or [B, ...] where shared: z [K, B, L]."""
        h = x.flatten(1) if shared else x.flatten(2)
        h = (h.expand(k, *h.shape) if shared else h).transpose(1, 2)
        for piece in self.pieces:
            h = piece.there(h, tensors, streams, sight)
        return h.transpose(1, 2)

    def back(self, g: Tensor, tensors: Tensors) -> dict[str, Tensor]:
        """The gradients of all weights, from that of z."""
        grads: dict[str, Tensor] = {}
        _back(self.pieces, g.transpose(1, 2), tensors, grads, first=True)
        return grads


def _back(pieces: Sequence[Piece], g: Tensor, tensors: Tensors, grads: dict[str, Tensor], first: bool) -> Tensor | None:
    least = next((at for at, piece in enumerate(pieces) if isinstance(piece, Linear | Sum)), len(pieces))
    for at in range(len(pieces) - 1, -1, -1):
        found = pieces[at].back(g, tensors, grads, first and at == least)
        if found is None:
            return None
        g = found
    return g


def manual(net: nn.Module, axes: int) -> Manual | None:
    """The chain of a network in training, whose batches have so many axes; None where it is none of this kind, or not all of its
    weights are trained."""
    found = _pieces(net, "")
    if found is None or not all(p.requires_grad and p.is_floating_point() for p in net.parameters()):
        return None
    flat = next((at for at, piece in enumerate(found) if piece is not None), len(found))
    pieces = [piece for piece in found[flat:] if piece is not None]
    inside = flat + len(pieces) < len(found)  # does one flatten what is flat already?
    if inside or not (flat or axes == 2) or not any(isinstance(piece, Linear | Sum) for piece in pieces):
        return None
    return Manual(pieces)


def _pieces(net: nn.Module, prefix: str) -> list[Piece | None] | None:
    """The layers in their order, None for one that flattens; None for all where one is not known."""
    if net._forward_hooks or net._forward_pre_hooks:
        return None
    if (isinstance(net, nn.Sequential) and type(net).forward is nn.Sequential.forward) or type(net) is Added:
        found: list[Piece | None] = []
        for name, part in net.named_children():
            inner = _pieces(part, f"{prefix}{name}.")
            if inner is None:
                return None
            found += inner
        if type(net) is Added:
            known = [piece for piece in found if piece is not None]
            return [Sum(known)] if len(known) == len(found) else None
        return found
    if type(net) is nn.Flatten and (net.start_dim, net.end_dim) == (1, -1):
        return [None]
    if type(net) is nn.Linear:
        return [Linear(net, prefix)]
    if type(net) is nn.Dropout:
        return [Drop()]
    if isinstance(net, nn.SiLU | nn.LeakyReLU) and net.inplace:  # what it took is gone on the way back
        return None
    return [Each(net, prefix)] if type(net) in BACK else None


__all__ = ["Manual", "manual"]
