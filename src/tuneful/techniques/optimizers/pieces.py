"""How a rule's formula is run over many tensors: small ones together, large ones in pieces that stay in the cache.

A formula of ten operations reads and writes a tensor ten times. Where every number moves by itself (`separable`), nothing forbids
to cut a large tensor into pieces of half a million numbers and to finish one before the next: the ten passes then happen in the
core's own caches, and main memory is read and written once. Small tensors have the opposite trouble, that an operation costs more to
call than to do, so many are stepped as one (rows.py). The numbers are the same up to rounding.

On a GPU nothing is cut, since there a call costs more than a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tuneful.techniques.interfaces import Optimizer
from tuneful.techniques.optimizers.rows import Moving, Rows, tensors

PIECE = 1 << 19  # numbers of a piece: with gradient, state and temporaries some MB of the shared cache (LOG.md)
ROW = 1 << 17  # numbers of a row, at most
SMALL = 1 << 13  # tensors up to this size are stepped together


def advance_(rule: Optimizer, moving: Sequence[Moving], h: Any, rows: Rows) -> None:
    """One step of each parameter, in place; the counts of steps in the states are this step's already."""
    by_number = rule.separable(h)
    together = by_number or (rule.stacks and not rule.stackable)
    lots: dict[tuple[Any, ...], list[Moving]] = {}
    for one in moving:
        p, s = one.p, one.state
        if together and p.numel() <= SMALL and not p.is_complex():
            numbers = [s[name] for name in rule.numbers] if rule.numbers else ()
            lots.setdefault((p.dtype, p.device, s["step"], None if by_number else p.shape, *numbers), []).append(one)
        elif not by_number:
            rule.step_(p, one.g, s, int(s["step"]), h)
        elif p.is_complex():
            _as_pairs(rule, one, h)
        else:
            _large(rule, one, h)
    for lot in lots.values():
        start = total = 0
        for i, one in enumerate(lot):
            if total + one.p.numel() > ROW and i > start:
                _together(rule, lot[start:i], h, rows, not by_number)
                start, total = i, 0
            total += one.p.numel()
        _together(rule, lot[start:] if start else lot, h, rows, not by_number)


def _together(rule: Optimizer, ones: Sequence[Moving], h: Any, rows: Rows, stacked: bool) -> None:
    if len(ones) == 1:
        p, g, s = ones[0]
        rule.step_(p, g, s, int(s["step"]), h)
    else:
        rows.advance_(rule, ones, h, stacked)


def _large(rule: Optimizer, one: Moving, h: Any) -> None:
    """One large tensor, piece after piece."""
    p, g, s = one
    t, names = int(s["step"]), tensors(rule, s)
    if g.stride() != p.stride():
        g = torch.empty_like(p).copy_(g)
    for name in names:
        if s[name].stride() != p.stride():
            s[name] = torch.empty_like(p).copy_(s[name])
    count = -(-p.numel() // PIECE) if p.device.type == "cpu" else 1
    lines = [_line(x) for x in (p, g, *[s[name] for name in names])] if count > 1 else []
    if not lines or lines[0] is None:
        rule.step_(p, g, s, t, h)
        return
    before = {name: s[name] for name in rule.numbers}
    size = -(-p.numel() // count)
    for parts in zip(*[line.split(size) for line in lines if line is not None]):
        piece = before | dict(zip(names, parts[2:]))
        rule.step_(parts[0], parts[1], piece, t, h)
        s.update({name: piece[name] for name in before})


def _line(x: Tensor) -> Tensor | None:
    """The numbers of a tensor in the order of memory, as a view; None where they do not lie together."""
    if x.is_contiguous():
        return x.view(-1)
    if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1).view(-1)
    return None


def _as_pairs(rule: Optimizer, one: Moving, h: Any) -> None:
    """A complex tensor as pairs of real numbers, as torch's own optimizers see it."""
    names = tensors(rule, one.state)
    s = dict(one.state) | {name: torch.view_as_real(one.state[name]) for name in names}
    rule.step_(torch.view_as_real(one.p), torch.view_as_real(one.g.resolve_conj()), s, int(s["step"]), h)
    one.state.update({name: s[name] for name in rule.numbers})
