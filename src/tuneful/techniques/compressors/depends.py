"""Which units of a network must go together: channels, units of linear layers, heads, as groups of indices of its weights.

The network is traced by torch.export, and labels flow through its operators (`flow`). Units whose labels were joined are a group;
groups that stand at the same axes of the same weights are a family, of which some may go and some must stay.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.node import map_arg

from tuneful.core.errors import ModelError
from tuneful.techniques.compressors import flow
from tuneful.techniques.compressors.flow import FIXED, Book

KEPT_WHOLE = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase, nn.Bilinear, nn.EmbeddingBag)
"""Modules whose forward() knows its own sizes, so that nothing of their weights may go."""


@dataclass(frozen=True)
class Group:
    """Units that go together. indices: {(name of a weight or buffer, axis): places along it}; head: is it one of attention?"""

    indices: Mapping[tuple[str, int], Tensor]
    head: bool


@dataclass(frozen=True)
class Family:
    """Groups of one kind, of which some may go."""

    groups: tuple[Group, ...]

    @property
    def head(self) -> bool:
        """Are its groups heads of attention?"""
        return self.groups[0].head


def families(body: nn.Module, x: Tensor) -> list[Family]:
    """The families of a network, in the order of its layers; x: [2 or more, ...] examples as it takes them.

    Raises ModelError when the network cannot be traced.
    """
    book = _flown(body, x[:2])
    shapes = {name: tuple(one.shape) for name, one in (*body.named_parameters(), *body.named_buffers())}
    where: dict[int, dict[tuple[str, int], list[int]]] = {}
    for name, axis, labels in book.places:
        roots = book.roots(labels)
        for at in range(len(shapes[name])) if axis < 0 else (axis,):
            along = roots if axis >= 0 else roots.movedim(at, 0).reshape(roots.shape[at], -1)
            for place, one in enumerate(along):
                alike = one.reshape(-1)
                if bool((alike == alike[0]).all()) and int(alike[0]) != FIXED:
                    where.setdefault(int(alike[0]), {}).setdefault((name, at), []).append(place)
    heads = {book.root(one) for one in book.heads}
    found: dict[Any, list[Group]] = {}
    for root, indices in where.items():
        unique = {key: torch.tensor(sorted(set(places))) for key, places in indices.items()}
        found.setdefault(tuple(sorted(unique)), []).append(Group(unique, root in heads))
    return [Family(tuple(groups)) for groups in found.values() if len(groups) > 1]


def _flown(body: nn.Module, x: Tensor) -> Book:
    """Labels through the whole network."""
    traced = copy.deepcopy(body).eval().requires_grad_(False)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of recurrent layers, which stay whole
            program = torch.export.export(traced, (x,), strict=False)
    except Exception as error:  # a user's forward() and torch's tracer may raise anything
        said = next(iter(str(error).splitlines()), type(error).__name__)[:150]
        raise ModelError(f"the network cannot be traced, so nobody knows which of its parts hang together: {said}",
                         "its forward() must not branch on values; steps on the exported graph may do") from error  # fmt: skip
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    book = Book()
    signature = program.graph_signature
    named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    whole = {
        f"{path}.{name}" if path else name
        for path, module in body.named_modules() if isinstance(module, KEPT_WHOLE)
        for name, _ in (*module.named_parameters(), *module.named_buffers())
    }  # fmt: skip
    values: dict[Any, Any] = {}
    weights: dict[Any, str] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            if node.name in named:
                weights[node] = named[node.name]
            values[node] = torch.full(tuple(node.meta["val"].shape), FIXED) if node.name in signature.user_inputs else None
        elif node.op == "output":
            for one in node.all_input_nodes:
                if isinstance(values.get(one), Tensor):
                    book.join(values[one], FIXED)
        else:
            values[node] = _through(book, node, values, weights, named, body)
    for name, _, labels in book.places:
        if name in whole:
            book.join(labels, FIXED)
    return book


def _through(book: Book, node: Any, values: dict[Any, Any], weights: dict[Any, str], named: Any, body: nn.Module) -> Any:
    """Labels of what one operator gives; None where it bears none (masks, angles, constants)."""
    shape: Any = getattr(node.meta.get("val"), "shape", None)
    target, args = node.target, node.args
    if getattr(target, "__name__", "") == "getitem":
        from_all = values.get(args[0])
        return from_all[args[1]] if isinstance(from_all, list | tuple) else from_all
    kind = getattr(target, "overloadpacket", target).__name__

    def name(at: int) -> str:
        return weights.get(args[at], "") if len(args) > at and isinstance(args[at], torch.fx.Node) else ""

    first = values.get(args[0]) if args and isinstance(args[0], torch.fx.Node) else None
    if kind in ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose2d", "conv_transpose1d") and name(1):
        if first is None:
            return None
        if kind == "linear":
            return flow.linear(book, first, name(1), name(2), int(shape[-1]))
        turned = kind in ("conv_transpose2d", "conv_transpose1d")
        groups = int(args[6]) if len(args) > 6 else 1
        return flow.convolution(book, first, name(1), name(2), groups, turned, shape)
    if kind == "batch_norm" and first is not None:
        inside = book.merged(first, [0, *range(2, first.ndim)]).reshape(-1)
        book.places += [(name(at), 0, inside) for at in (1, 2, 3, 4) if name(at)]
        return first
    if kind == "group_norm" and first is not None:
        inside = book.merged(first, [0, *range(2, first.ndim)]).reshape(-1)
        book.merged(inside.reshape(int(args[1]), -1), [0])  # as many of each group
        book.places += [(name(at), 0, inside) for at in (2, 3) if name(at)]
        return first
    if kind in ("layer_norm", "rms_norm") and first is not None:
        if len(args[1]) > 1:
            book.join(first, FIXED)
        inside = book.merged(first, range(first.ndim - 1)).reshape(-1)
        book.places += [(name(at), 0, inside) for at in (2, 3) if name(at) and len(args[1]) == 1]
        return first
    if kind == "embedding" and name(0):
        out = book.new(int(shape[-1]))
        book.places.append((name(0), 1, out))
        return out.expand(*shape)
    return _general(book, node, kind, shape, values, weights, named, body)


def _general(
    book: Book,
    node: Any,
    kind: Any,
    shape: Any,
    values: dict[Any, Any],
    weights: dict[Any, str],
    named: Any,
    body: nn.Module,
) -> Any:
    for (
        one
    ) in node.all_input_nodes:  # a weight that is used as it is (a position, a token, a scale): a label for each number
        if values.get(one) is None and one in weights and one.name in named and _learned(body, weights[one]):
            values[one] = book.new(math.prod(one.meta["val"].shape)).reshape(tuple(one.meta["val"].shape))
            book.places.append((weights[one], -1, values[one]))
    given = [values[one] for one in node.all_input_nodes if isinstance(values.get(one), Tensor)]
    if not given:
        return None
    if kind in flow.MOVING or (kind == "pad" and len(node.args[1]) > 2 * (given[0].ndim - 2)):
        known: Any = map_arg((node.args, node.kwargs), lambda one: _literal(values.get(one), one))
        made = node.target(*known[0], **known[1])
        return list(made) if isinstance(made, list | tuple) else made
    if kind in flow.SPATIAL or kind == "pad" or kind == "constant_pad_nd":
        shape = shape if shape is not None else node.meta["val"][0].shape
        return book.merged(given[0], range(2, given[0].ndim)).expand(*shape)
    if kind in flow.REDUCING and len(node.args) > 1 and isinstance(node.args[1], list | tuple):
        axes = [axis % given[0].ndim for axis in node.args[1]]
        return book.merged(given[0], axes).reshape(tuple(shape))
    if kind in flow.ELEMENTWISE and shape is not None:
        return flow.elementwise(book, given, shape)
    if kind in ("scaled_dot_product_attention", "matmul", "bmm") and shape is not None and len(given) > 1:
        full = [
            values[one] for one in node.args[:3] if isinstance(one, torch.fx.Node) and isinstance(values.get(one), Tensor)
        ]
        if len(full) > 1 and all(one.ndim == len(shape) for one in full):
            return flow.head(book, full, shape)
    for one in given:
        book.join(one, FIXED)
    if shape is None:
        made = node.meta.get("val")
        return (
            [torch.full(tuple(one.shape), FIXED) for one in made if isinstance(one, Tensor)]
            if isinstance(made, list | tuple)
            else None
        )
    return torch.full(tuple(shape), FIXED)


def _literal(labels: Any, node: Any) -> Any:
    return labels if labels is not None else torch.full(tuple(node.meta["val"].shape), FIXED)


def _learned(body: nn.Module, name: str) -> bool:
    path, _, last = name.rpartition(".")
    return last in dict(body.get_submodule(path).named_parameters(recurse=False))


__all__ = ["Family", "Group", "families"]
