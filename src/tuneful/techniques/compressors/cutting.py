"""Taking units out of a network: weights and buffers lose indices, and modules learn their new sizes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from tuneful.core.errors import ModelError
from tuneful.techniques.compressors.depends import Group
from tuneful.techniques.interfaces import Attention


def cut_(body: nn.Module, groups: Iterable[Group]) -> None:
    """Take these groups out, in place."""
    gone: dict[str, dict[int, set[int]]] = {}
    for group in groups:
        for (name, axis), places in group.indices.items():
            gone.setdefault(name, {}).setdefault(axis, set()).update(places.tolist())
    touched: dict[str, nn.Module] = {}
    for name, axes in gone.items():
        path, _, last = name.rpartition(".")
        module = touched[path] = body.get_submodule(path)
        value: Any = getattr(module, last)
        kept = value.detach()
        for axis, places in axes.items():
            left = [at for at in range(kept.shape[axis]) if at not in places]
            if not left:
                raise ModelError(f"nothing would be left of {name} along axis {axis}")
            kept = kept.index_select(axis, torch.tensor(left, device=kept.device))
        kept = kept.contiguous()
        if isinstance(value, nn.Parameter):
            setattr(module, last, nn.Parameter(kept, requires_grad=value.requires_grad))
        else:
            setattr(module, last, kept)
    for module in touched.values():
        _resize_(module)
    for module in body.modules():
        if isinstance(module, Attention):
            _fewer_heads_(module)


def _resize_(module: nn.Module) -> None:
    """Let a module know how large its weights are now; most only print it, grouped convolutions and norms compute with it."""
    one: Any = module
    if isinstance(module, nn.Linear):
        one.out_features, one.in_features = one.weight.shape
    elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        alone, times = one.groups == one.in_channels and one.groups > 1, one.out_channels // one.in_channels
        one.out_channels = one.weight.shape[0]
        if alone:  # each map by itself, or several made of each
            one.groups = one.in_channels = one.out_channels // times
        else:
            one.in_channels = one.weight.shape[1] * one.groups
    elif isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        one.in_channels, one.out_channels = one.weight.shape[0], one.weight.shape[1] * one.groups
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        one.num_features = len(one.running_mean if one.running_mean is not None else one.weight)
    elif isinstance(module, nn.GroupNorm):
        one.num_channels = len(one.weight)
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        one.normalized_shape = tuple(one.weight.shape)
    elif isinstance(module, nn.Embedding):
        one.embedding_dim = one.weight.shape[1]


def _fewer_heads_(module: nn.Module) -> None:
    """The number of heads of our own attention, from the size of what leaves it."""
    one: Any = module
    heads, out = getattr(one, "heads", None), getattr(one, "out", None)
    if isinstance(heads, int) and isinstance(out, nn.Linear):
        one.heads = out.in_features // one.head


__all__ = ["cut_"]
