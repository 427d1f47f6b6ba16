"""muP (maximal update parametrization): widths are scaled so that a learning rate found on a narrow network serves a wide one.

The network is compared, axis by axis, with its twin of width `base`. r is by how much an axis has grown; a weight

    both of whose axes grow (hidden):      deviation ~ 1/sqrt(fan_in);  Adam's rate / r_in;  SGD's rate * r_out / r_in
    whose inputs alone grow (output):      deviation as the twin's;     Adam's rate as it is;  SGD's rate * r_in;  its input / r_in
    whose outputs alone grow (first layer, embedding, bias, norm):  deviation as the twin's;  Adam's as it is;  SGD's rate * r_out

and attention compares queries and keys with 1/d in place of 1/sqrt(d):  sqrt(d of the twin) / d. At the base width all of this
is He's init and the usual rates. Where a rate is scaled, decay is scaled against it: rate * decay stays what it was.

Being relative to a twin, it needs no list of layers: it serves Linear, convolutions, embeddings (tied to the output as
well), recurrent layers, norms, nn.MultiheadAttention, and attention that derives from `interfaces.Attention`. Attention that
is not known as such keeps its 1/sqrt(d), which matters where the heads grow wider. The multipliers are part of the network and of its
ONNX file, not of its state dict: weights are to be loaded into a network that was begun by the same recipe.

Source: Yang et al., NeurIPS 2021 and arXiv:2203.03466, table 8 (the form that allows tied weights), definition 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from tuneful.core.config import Count, Positive
from tuneful.core.errors import ModelError
from tuneful.techniques.inits.layers import weights
from tuneful.techniques.interfaces import Attention, Init, Rate


class MuP(Init):
    """For networks to be made wider later: tune the rate at a small width and keep it."""

    source: ClassVar[str] = "Yang et al. 2022, arXiv:2203.03466, table 8"
    cost: ClassVar[str] = "one draw per weight, once; one product per output layer and step; more parameter groups"
    gain: ClassVar[float] = math.sqrt(2.0)

    kind: Literal["mup"] = "mup"
    base: Count = 64  # the width at which everything is as usual
    dial: str = "model.width"  # the setting that is the width; model.arguments.NAME for your own network
    scale: Positive = 1.0  # deviation of weights, as a multiple of He's

    @property
    def twin(self) -> Mapping[str, Any]:
        """The same network of width `base`."""
        return {self.dial: self.base}

    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Normal with deviation scale * gain / sqrt(fan_in): right for hidden weights; `settle_` mends the others."""
        weight.normal_(0.0, self.scale * gain / math.sqrt(fan_in), generator=dice)

    @torch.no_grad()
    def settle_(self, net: nn.Module, sample: Tensor | None, twin: nn.Module | None) -> None:
        """Give output weights and embeddings their twin's deviation, and put in the multipliers of outputs and attention."""
        mended: set[int] = set()
        for module, other in _pairs(net, twin):
            for w, v in zip(weights(module), weights(other), strict=True):
                read, written = (w.tensor.shape[axis] / v.tensor.shape[axis] for axis in (w.reads, w.writes))
                if id(w.tensor) not in mended:
                    mended.add(id(w.tensor))
                    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
                        w.tensor.mul_(math.sqrt(written))
                    elif written == 1:
                        w.tensor.mul_(math.sqrt(read))
                if isinstance(module, nn.Linear | _ConvNd):
                    _multiply_input(module, 1 / read if written == 1 else 1.0)
            if isinstance(module, Attention):
                module.scale = other.scale * other.head / module.head
            elif isinstance(module, nn.MultiheadAttention):
                _multiply_keys(module, math.sqrt(other.head_dim / module.head_dim))

    def rates(self, net: nn.Module, twin: nn.Module | None) -> dict[str, Rate]:
        """Factors of the rates, from the axes that have grown."""
        readers = {f"{name}.{w.name}".lstrip("."): w.reads for name, module in net.named_modules() for w in weights(module)}
        small = dict(_twin(twin).named_parameters())
        found: dict[str, Rate] = {}
        for name, p in net.named_parameters():
            q = small.get(name)
            if q is None or q.ndim != p.ndim:
                raise _differs(name)
            grown = {axis: p.shape[axis] / q.shape[axis] for axis in range(p.ndim) if p.shape[axis] != q.shape[axis]}
            if len(grown) == 1:
                found[name] = Rate(following=next(iter(grown.values())))
            elif len(grown) > 1:
                found[name] = _hidden(name, grown, readers.get(name))
        return found


def _hidden(name: str, grown: dict[int, float], reads: int | None) -> Rate:
    ratios = set(grown.values())
    if len(grown) > 2 or (reads not in grown and len(ratios) > 1):
        raise ModelError(
            f"init is mup, and cannot tell along which axis {name} is read",
            "take a Linear or a convolution for it, or init=he",
        )
    read = grown[reads] if reads in grown else max(ratios)
    (written,) = [r for axis, r in grown.items() if axis != reads] if reads in grown else ratios
    return Rate(following=written / read, free=1 / read)


def _twin(twin: nn.Module | None) -> nn.Module:
    if twin is None:
        raise ModelError("init is mup, which compares a network with its twin; none was given", "pass twin= to apply_")
    return twin


def _pairs(net: nn.Module, twin: nn.Module | None) -> Iterator[tuple[nn.Module, Any]]:
    small = dict(_twin(twin).named_modules())
    for name, module in net.named_modules():
        other = small.get(name)
        if type(other) is not type(module):
            raise _differs(name)
        yield module, other


def _differs(name: str) -> ModelError:
    return ModelError(
        f"init is mup, and the network of the base width has no {name} of the same kind; it must differ in its widths alone",
        "build the same layers, under the same names, at every width",
    )


class _Times:
    """A hook: one argument of forward() is multiplied. As an object, it is found again and replaced."""

    def __init__(self, factor: float, place: int, name: str) -> None:
        self.factor, self.place, self.name = factor, place, name

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self.name in named:
            return args, {**named, self.name: named[self.name] * self.factor}
        return (*args[: self.place], args[self.place] * self.factor, *args[self.place + 1 :]), named


def _multiply_input(module: nn.Module, factor: float) -> None:
    """The layer sees its input times factor; so its bias is not multiplied."""
    _hook(module, _Times(factor, 0, "input"))


def _multiply_keys(module: nn.MultiheadAttention, factor: float) -> None:
    """q (W c x + b) = c (q W x) + q b, and q b is the same for every key, so that softmax takes it away: multiplying what
    the keys are made of multiplies what is compared."""
    if factor != 1 and module.bias_k is not None:
        raise ModelError("init is mup, which cannot serve attention with a key of its own", "set add_bias_kv=False")
    _hook(module, _Times(factor, 1, "key"))


def _hook(module: nn.Module, times: _Times) -> None:
    hooks = cast("dict[int, Any]", module._forward_pre_hooks)
    for key in [key for key, hook in hooks.items() if isinstance(hook, _Times)]:
        del hooks[key]
        module._forward_pre_hooks_with_kwargs.pop(key, None)
    if times.factor != 1:
        module.register_forward_pre_hook(times, with_kwargs=True)
