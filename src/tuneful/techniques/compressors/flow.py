"""How labels flow through operators: each number of an activation bears the label of the unit that it cannot exist without.

    linear, convolution   new labels for what comes out; those of what goes in belong to the columns of the weight
    elementwise, two      labels that meet are joined: both units stay, or both go (a residual sum, a gate)
    moving                the same operator is applied to the labels themselves: flatten, transpose, concatenate, part, slice
    pooling, means        all that is pooled into one number is joined
    attention             all that enters one head is joined, so that a head stays or goes as a whole
    anything else         its labels are joined with FIXED, which never goes

This is the whole dependency graph: no operator needs to know which layers it lies between. Source: the idea of coupled groups as
in Fang et al., CVPR 2023, arXiv:2301.12900; carrying labels through the operators themselves is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

FIXED = 0  # the label of what stays: inputs, outputs, and what an unknown operator touches

MOVING = {
    "view", "reshape", "_unsafe_view", "flatten", "unflatten", "permute", "transpose", "t", "numpy_T",
    "unsqueeze", "squeeze", "slice", "select", "expand", "expand_as", "contiguous", "clone", "alias",
    "cat", "stack", "chunk", "split", "split_with_sizes", "unbind", "flip", "roll", "movedim",
    "repeat", "repeat_interleave", "narrow", "detach", "lift_fresh_copy", "concat", "pixel_shuffle",
}  # fmt: skip
SPATIAL = {
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "avg_pool1d", "avg_pool2d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "_adaptive_avg_pool2d",
    "upsample_nearest2d", "upsample_bilinear2d", "upsample_nearest1d",
}  # fmt: skip
REDUCING = {"mean", "sum", "amax", "amin", "var", "logsumexp"}
ELEMENTWISE = {
    "relu", "relu_", "gelu", "silu", "silu_", "sigmoid", "tanh", "hardswish", "hardswish_",
    "hardsigmoid", "hardsigmoid_", "leaky_relu", "elu", "selu", "celu", "mish", "softplus", "hardtanh",
    "relu6", "clamp", "clamp_min", "dropout", "feature_dropout", "alpha_dropout", "softmax", "_softmax",
    "log_softmax", "exp", "log", "sqrt", "rsqrt", "pow", "neg", "abs", "square", "sin", "cos",
    "add", "add_", "sub", "mul", "mul_", "div", "rsub", "where", "masked_fill", "maximum", "minimum",
    "to", "_to_copy", "type_as", "prelu", "nan_to_num", "softsign", "logsigmoid", "erf",
}  # fmt: skip


@dataclass
class Book:
    """Labels, which of them are joined, and where they stand in the weights.

    places: (name of the weight, axis, labels of the indices along it), and (name, -1, labels of all its numbers); heads: labels
    that attention joined.
    """

    parents: list[int] = field(default_factory=lambda: [FIXED])
    places: list[tuple[str, int, Tensor]] = field(default_factory=list[tuple[str, int, Tensor]])
    heads: set[int] = field(default_factory=set[int])

    def new(self, count: int) -> Tensor:
        """So many labels that nobody has."""
        start = len(self.parents)
        self.parents.extend(range(start, start + count))
        return torch.arange(start, start + count)

    def root(self, label: int) -> int:
        """The label that stands for all that this one is joined with."""
        while self.parents[label] != label:
            self.parents[label] = self.parents[self.parents[label]]
            label = self.parents[label]
        return label

    def join(self, a: Tensor, b: Tensor | int) -> None:
        """Join labels pair by pair; shapes that broadcast."""
        pairs = torch.stack(_once(*torch.broadcast_tensors(a, torch.as_tensor(b))), -1).reshape(-1, 2).numpy()
        for one, other in np.unique(pairs, axis=0).tolist():
            x, y = self.root(one), self.root(other)
            self.parents[max(x, y)] = min(x, y)  # FIXED is the least, so it stays the root

    def roots(self, labels: Tensor) -> Tensor:
        """Each label's root."""
        unique, back = torch.unique(labels, return_inverse=True)
        return torch.tensor([self.root(one) for one in unique.tolist()], dtype=torch.int64)[back].reshape(labels.shape)

    def merged(self, labels: Tensor, axes: Sequence[int]) -> Tensor:
        """Join along axes, which are kept with length 1."""
        for axis in axes:
            first = labels.narrow(axis, 0, 1)
            if labels.shape[axis] > 1 and labels.stride(axis):
                self.join(labels, first)
            labels = first
        return labels


def _once(*labels: Tensor) -> list[Tensor]:
    """Tensors of one shape without the axes along which all of them only repeat: their numbers lie in memory once."""
    found = list(labels)
    for axis in range(labels[0].ndim):
        if all(one.stride(axis) == 0 for one in labels):
            found = [one.narrow(axis, 0, 1) for one in found]
    return found


def elementwise(book: Book, given: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """What comes of labels that meet. Where all of one operand's labels differ only along axes over which the other is spread out
    (a mask over places, a scale of each example), the other says nothing of them."""
    wide = [
        labels.expand(*shape) for labels in (one.reshape((1,) * (len(shape) - one.ndim) + tuple(one.shape)) for one in given)
    ]
    spread = [{axis for axis, size in enumerate(_padded(one, shape)) if size == 1 and shape[axis] > 1} for one in given]
    varies = [_varying(one) for one in wide]
    silent = [
        any(
            varies[j] and varies[j] <= spread[i] and bool((_once(wide[i])[0] == FIXED).all())
            for j in range(len(given))
            if j != i
        )
        for i in range(len(given))
    ]
    heard = [one for one, quiet in zip(wide, silent, strict=True) if not quiet] or wide
    for other in heard[1:]:
        book.join(heard[0], other)
    return heard[0]


def _padded(labels: Tensor, shape: Sequence[int]) -> tuple[int, ...]:
    return (1,) * (len(shape) - labels.ndim) + tuple(labels.shape)


def _varying(labels: Tensor) -> set[int]:
    """The axes along which labels differ, the examples' left out."""
    (labels,) = _once(labels)
    return {
        axis
        for axis in range(1, labels.ndim)
        if labels.shape[axis] > 1 and bool((labels != labels.narrow(axis, 0, 1)).any())
    }


def convolution(book: Book, x: Tensor, weight: str, bias: str, groups: int, turned: bool, shape: Sequence[int]) -> Tensor:
    """Labels of what a convolution gives: [B, C, ...]. turned: it is a transposed one, whose weight is [in, out / groups, ...]."""
    inside = book.merged(x, [0, *range(2, x.ndim)]).reshape(-1)
    outputs = int(shape[1])
    if groups > 1 and not (groups == len(inside) and outputs % groups == 0 and not turned):
        book.join(inside, FIXED)
        return torch.full(tuple(shape), FIXED)
    if groups > 1:  # each map by itself: what goes in is what comes out
        out = inside.repeat_interleave(outputs // groups)
    else:
        out = book.new(outputs)
        book.places.append((weight, 0 if turned else 1, inside))
    book.places.append((weight, 1 if turned else 0, out))
    if bias:
        book.places.append((bias, 0, out))
    return out.reshape(1, -1, *[1] * (len(shape) - 2)).expand(*shape)


def linear(book: Book, x: Tensor, weight: str, bias: str, outputs: int) -> Tensor:
    """Labels of what a linear map gives: [..., outputs]."""
    book.places.append((weight, 1, book.merged(x, range(x.ndim - 1)).reshape(-1)))
    out = book.new(outputs)
    book.places.append((weight, 0, out))
    if bias:
        book.places.append((bias, 0, out))
    return out.expand(*x.shape[:-1], outputs)


def head(book: Book, given: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """Labels of a product of two activations, or of attention: all that belongs to one head, and enters it, is joined."""
    given = [one for one in given if one.ndim == len(shape)]
    kept = [book.merged(one, [axis for axis in range(one.ndim) if axis != 1 or one.ndim < 4]) for one in given]
    for other in kept[1:]:
        book.join(kept[0], other)
    if kept[0].numel() > 1:
        book.heads.update(kept[0].reshape(-1).tolist())
    return kept[0].expand(*shape)


__all__ = ["ELEMENTWISE", "FIXED", "MOVING", "REDUCING", "SPATIAL", "Book", "convolution", "elementwise", "head", "linear"]
