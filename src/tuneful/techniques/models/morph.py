"""Network morphisms: a wider or deeper network begins as the function that a smaller one has come to be.

    wider    unit j of the new layer is unit g(j) = j mod old of the old one;  W'[i, j] = W[g(i), g(j)] / #{k: g(k) = g(j)}
    deeper   a new layer is the identity: W' = I where the activation leaves its own results as they are (relu), or a branch that adds
             nothing to what enters it (residual); a batch norm in it undoes what it measures on a sample: scale = sqrt(var + eps), shift = mean

All layers that have grown from one number of units to another are copied by one g, so that sums of branches stay right. `noise`, a share of
the spread of each weight, then tells the copies apart; without it the function is the same to rounding, when predicting.

Source: Chen et al., ICLR 2016 (Net2Net), arXiv:1511.05641, sections 2.2 and 2.3. Their g is random; ours is in turn, which layer norm bears as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from tuneful.core.errors import ModelError
from tuneful.techniques.models.convnet import ConvNet
from tuneful.techniques.models.mlp import MLP, Added
from tuneful.techniques.models.resnet import BOTTLENECKS, Block, ResNet
from tuneful.techniques.models.resnet import STAGES as BLOCKS

NOISE = 0.02  # of a weight's spread: enough to part copies, little beside what was learned
RESTS = ("relu",)  # activations f with f(f(x)) = f(x)
FROM_ZERO = ("relu", "gelu", "silu", "tanh", "leaky_relu", "mish", "elu")  # with f(0) = 0


def growable(small: Any, large: Any) -> str:
    """Why a network of the settings `large` cannot begin as one of `small`; "" where it can."""
    if type(small) is not type(large) or not isinstance(small, MLP | ConvNet | ResNet):
        return "only mlp, convnet and resnet grow, each into its own kind"
    other = [
        name
        for name in type(small).model_fields
        if name not in ("width", "depth") and getattr(small, name) != getattr(large, name)
    ]
    if other:
        return f"{other[0]} differs"
    if large.width < small.width or large.depth < small.depth or (large.width, large.depth) == (small.width, small.depth):
        return "it is not larger"
    if small.norm == "layer" and large.width % small.width:
        return "a layer norm bears copies of all units alike, so that the width has to be a multiple"
    if small.norm not in ("none", "batch", "layer") or (small.norm == "layer" and not isinstance(small, MLP)):
        return f"a norm over {small.norm} does not bear copies"
    if large.depth > small.depth:
        if isinstance(small, ResNet) and (
            len(BLOCKS[small.depth]) != len(BLOCKS[large.depth]) or (small.depth in BOTTLENECKS) != (large.depth in BOTTLENECKS)
            or any(a > b for a, b in zip(BLOCKS[small.depth], BLOCKS[large.depth], strict=True))
        ):  # fmt: skip
            return f"a resnet of {small.depth} layers has other stages or blocks than one of {large.depth}"
        adds = isinstance(small, ResNet) or (isinstance(small, MLP) and small.residual)
        post = isinstance(small, ResNet) and small.order == "post"
        if small.activation not in (FROM_ZERO if adds and not post else RESTS):
            return f"a new layer with the activation {small.activation} is not the identity"
        if isinstance(small, MLP) and small.norm == "layer" and not small.residual:
            return "a layer norm cannot be undone"
    return ""


@torch.no_grad()
def grow_(
    net: nn.Module, large: Any, old: nn.Module, small: Any, sample: Tensor, *, noise: float = NOISE, seed: int = 0
) -> None:
    """Fill a network of the settings `large` so that it predicts what the old one does, but for noise. sample: a batch as the bodies see it.

    Raises ModelError where it cannot.
    """
    if why := growable(small, large):
        raise ModelError(f"the network of {small.kind} cannot grow: {why}", "take another parent, or begin anew")
    sums = [
        next((isinstance(layer, Added) for layer in one.children() if isinstance(layer, Added | nn.Linear)), False)
        for one in (net, old)
    ]
    if isinstance(large, MLP) and sums[0] != sums[1]:
        raise ModelError(
            "a network as wide as its input adds to it, and one of another width does not", "take another width"
        )
    fresh: list[nn.Module] = []
    for new, known in _pairs(net, large, old, small):
        if known is None:
            fresh += new
        else:
            for one, other in zip(new, known, strict=True):
                _copy(one, other)
    for one in fresh:
        _rest(one)
    _settle(net, fresh, sample)
    if noise:
        dice = torch.Generator().manual_seed(seed)
        for p in net.parameters():
            if p.ndim > 1:
                p.add_(noise * float(p.std()) * torch.randn(p.shape, generator=dice).to(p))


def _pairs(net: nn.Module, large: Any, old: nn.Module, small: Any) -> list[tuple[list[nn.Module], list[nn.Module] | None]]:
    """The parts of the new network beside those of the old one; None beside what is new."""
    (before, now), (was, after) = _parts(net, large), _parts(old, small)
    found: list[tuple[list[nn.Module], list[nn.Module] | None]] = [([a], [b]) for a, b in zip(before, was, strict=True)]
    deep, shallow = _stages(large, len(now)), _stages(small, len(after))
    place = at = 0
    for many, few in zip(deep, shallow, strict=True):
        found += [(now[place + k], after[at + k] if k < few else None) for k in range(many)]
        place, at = place + many, at + few
    return found


def _stages(settings: Any, units: int) -> Sequence[int]:
    """How many units each stage has."""
    if isinstance(settings, ResNet):
        return BLOCKS[settings.depth]
    return (settings.depth,) * (units // settings.depth)


def _parts(net: nn.Module, settings: Any) -> tuple[list[nn.Module], list[list[nn.Module]]]:
    """(what stands once, the units of which there are as many as the network is deep), both in their order."""
    once: list[nn.Module] = []
    units: list[list[nn.Module]] = []
    layers = list(net.children())
    for number, layer in enumerate(layers):
        if isinstance(settings, MLP):
            last = number == len(layers) - 1
            if isinstance(layer, Added) or (isinstance(layer, nn.Linear) and not last):
                units.append(list(layer) if isinstance(layer, Added) else [layer])
            elif number == 0 or last:
                once.append(layer)
            else:
                units[-1].append(layer)
        elif isinstance(layer, Block if isinstance(settings, ResNet) else nn.Sequential):
            units.append([layer])
        else:
            once.append(layer)
    return once, units


def _copy(new: nn.Module, old: nn.Module) -> None:
    """The weights and statistics of a part, for the units that it has now."""
    known = {**dict(old.named_parameters()), **dict(old.named_buffers())}
    inner = dict(new.named_modules())
    for name, tensor in [*new.named_parameters(), *new.named_buffers()]:
        value = known[name].to(tensor)
        reads = isinstance(inner[name.rpartition(".")[0]], nn.Linear | _ConvNd) and value.ndim > 1
        for axis in range(min(2, value.ndim)):
            if tensor.shape[axis] != value.shape[axis]:
                g = torch.arange(tensor.shape[axis]) % value.shape[axis]
                value = value.index_select(axis, g.to(value.device))
                if axis == 1 and reads:
                    value = value / torch.bincount(g)[g].to(value).view(1, -1, *[1] * (value.ndim - 2))
        tensor.copy_(value)


def _rest(unit: nn.Module) -> None:
    """Let a new part do nothing: a branch that ends in zeros, or layers that are the identity."""
    if isinstance(unit, Block):
        end = unit.ends()[0]
        for p in end.parameters():
            p.zero_()
        return
    for layer in unit.modules():
        if isinstance(layer, nn.Linear):
            nn.init.eye_(layer.weight)
        elif isinstance(layer, _ConvNd):
            nn.init.dirac_(layer.weight)
        if isinstance(layer, nn.Linear | _ConvNd) and layer.bias is not None:
            layer.bias.zero_()


def _settle(net: nn.Module, fresh: Sequence[nn.Module], sample: Tensor) -> None:
    """Residual layers add nothing; batch norms in new identities undo what they measure on the sample."""
    added = [layer for module in net.modules() if isinstance(module, Added) for layer in module if layer in fresh]
    for layer in added:
        for p in layer.parameters():
            if not isinstance(layer, _BatchNorm | nn.LayerNorm) or p is layer.bias:
                p.zero_()
    norms = [
        m
        for unit in fresh
        if not isinstance(unit, Block) and unit not in added
        for m in unit.modules()
        if isinstance(m, _BatchNorm)
    ]

    def measured(norm: nn.Module, inputs: Any) -> None:
        assert isinstance(norm, _BatchNorm)
        x = inputs[0]
        axes = [axis for axis in range(x.ndim) if axis != 1]
        mean, var = x.mean(axes), x.var(axes, unbiased=False)
        state: Mapping[str, Tensor] = {
            "running_mean": mean,
            "running_var": var,
            "weight": (var + norm.eps).sqrt(),
            "bias": mean,
        }
        norm.load_state_dict({**norm.state_dict(), **state})

    hooks = [norm.register_forward_pre_hook(measured) for norm in norms]
    training = net.training
    net.eval()
    try:
        if norms:
            net(sample)
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()


__all__ = ["NOISE", "grow_", "growable"]
