"""How a rule's formula is run over many tensors: small ones together, large ones in pieces that stay in the cache.

A formula of ten operations reads and writes a tensor ten times. Where every number moves by itself (`separable`), nothing forbids
to cut a large tensor into pieces of some 10^4 numbers and to finish one before the next: the ten passes then happen in the
core's own cache, and main memory is read and written once. Small tensors have the opposite trouble, that an operation costs more to
call than to do, so they are put in a row, stepped as one and put back. The numbers are the same to the last bit, since none of them
knows its neighbours.

On a GPU nothing is cut, since there a call costs more than a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tuneful.techniques.interfaces import Optimizer

PIECE = 1 << 15  # numbers of a piece: with gradient, state and temporaries about half of a core's second cache
SMALL = 1 << 13  # tensors up to this size are put in a row


class Moving(NamedTuple):
    """A parameter that is about to move: its gradient, to be descended, and its state."""

    p: Tensor
    g: Tensor
    state: dict[str, Any]


def advance_(rule: Optimizer, moving: Sequence[Moving], h: Any) -> None:
    """One step of each parameter, in place; the counts of steps in the states are this step's already."""
    if not rule.separable(h):
        for p, g, s in moving:
            rule.step_(p, g, s, int(s["step"]), h)
        return
    rows: dict[tuple[Any, ...], list[Moving]] = {}
    for one in moving:
        p = one.p
        if p.is_complex():
            _as_pairs(rule, one, h)
        elif p.numel() > SMALL:
            _large(rule, one, h)
        else:
            s = one.state
            rows.setdefault((p.dtype, p.device, int(s["step"]), *[s[name] for name in rule.numbers]), []).append(one)
    for row in rows.values():
        start = total = 0
        for i, one in enumerate(row):
            if total + one.p.numel() > PIECE and i > start:
                _row(rule, row[start:i], h)
                start, total = i, 0
            total += one.p.numel()
        _row(rule, row[start:], h)


def _tensors(rule: Optimizer, s: dict[str, Any]) -> list[str]:
    return [name for name, value in s.items() if isinstance(value, Tensor) and name not in rule.numbers and name != "step"]


def _row(rule: Optimizer, row: Sequence[Moving], h: Any) -> None:
    """Some small tensors as one line of numbers."""
    first = row[0].state
    t = int(first["step"])
    if len(row) == 1:
        rule.step_(row[0].p, row[0].g, first, t, h)
        return
    names = _tensors(rule, first)
    sizes = [one.p.numel() for one in row]
    columns = [[one.p for one in row], *[[one.state[name] for one in row] for name in names]]
    lines = [torch.cat([x.reshape(-1) for x in column]) for column in columns]
    s: dict[str, Any] = {name: first[name] for name in rule.numbers} | dict(zip(names, lines[1:]))
    rule.step_(lines[0], torch.cat([one.g.reshape(-1) for one in row]), s, t, h)
    lines[1:] = [s[name] for name in names]
    for column, line in zip(columns, lines):
        parts = [part.view_as(x) for x, part in zip(column, line.split(sizes))]
        torch._foreach_copy_(column, parts)  # pyright: ignore[reportPrivateImportUsage]
    for one in row:
        one.state.update({name: s[name] for name in rule.numbers})


def _large(rule: Optimizer, one: Moving, h: Any) -> None:
    """One large tensor, piece after piece."""
    p, g, s = one
    t, names = int(s["step"]), _tensors(rule, s)
    if g.stride() != p.stride():
        g = torch.empty_like(p).copy_(g)
    for name in names:
        if s[name].stride() != p.stride():
            s[name] = torch.empty_like(p).copy_(s[name])
    lines = None if p.device.type != "cpu" else [_line(x) for x in (p, g, *[s[name] for name in names])]
    if lines is None or lines[0] is None:
        rule.step_(p, g, s, t, h)
        return
    before = {name: s[name] for name in rule.numbers}
    for parts in zip(*[line.split(PIECE) for line in lines if line is not None]):
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
    names = _tensors(rule, one.state)
    s = dict(one.state) | {name: torch.view_as_real(one.state[name]) for name in names}
    rule.step_(torch.view_as_real(one.p), torch.view_as_real(one.g.resolve_conj()), s, int(s["step"]), h)
    one.state.update({name: s[name] for name in rule.numbers})
