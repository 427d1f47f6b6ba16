"""Small tensors stepped as one: in a line where every number moves by itself, else as a stack where they have one shape.

An operation on a small tensor costs more to call than to do. Where the rule is `separable` the numbers of many tensors stand in
one line [n]. Where it looks at whole tensors but `stacks`, K tensors of one shape are a stack [K, *], which the rule takes for K
trials with the same settings (see interfaces.Optimizer): its norms and products are those of each tensor alone.

The state lies side by side from step to step: what a parameter has in `optimizer.state` are views of it, one a name. They are
looked at anew at every step, and laid out again where another tensor has taken the place of one (a loaded state, a parameter that
rested or came later), so nothing hangs on them. Parameters and gradients are copied in and out, since they belong to others, and
so is a state that lies in memory which others hold (the stack of pipeline lays the state of many runs side by side).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tuneful.techniques.interfaces import Optimizer


class Moving(NamedTuple):
    """A parameter that is about to move: its gradient, to be descended, and its state."""

    p: Tensor
    g: Tensor
    state: dict[str, Any]


class Rows:
    """The rows of one optimizer, from step to step. Forgetting them loses nothing."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}  # by the identity of the first parameter
        self.used: dict[int, Row] = {}
        self.scratch: dict[tuple[torch.dtype, torch.device], Tensor] = {}  # [2, n]: where all rows step, one after the other

    def advance_(self, rule: Optimizer, ones: Sequence[Moving], h: Any, stacked: bool = False) -> None:
        """One step of these parameters, which share type, device, count of steps and numbers (and shape, if stacked)."""
        first = ones[0]
        row = self.rows.get(id(first.p))
        if row is None or not row.holds(ones, stacked):
            row = Row(rule, ones, stacked, self._scratch(first.p, sum(one.p.numel() for one in ones)))
            if self._free(rule, ones):
                row.claim(ones)
        if row.places:
            self.used[id(first.p)] = row
        row.step_(rule, ones, h)

    def close(self) -> None:
        """The step is over: rows that it did not use are forgotten."""
        self.rows, self.used = self.used, {}

    def _free(self, rule: Optimizer, ones: Sequence[Moving]) -> bool:
        """Does the state lie in memory of its own, or of these rows?"""
        ours = {
            line.untyped_storage().data_ptr()
            for row in (*self.rows.values(), *self.used.values())
            for line in row.lines.values()
        }
        memory = [one.state[name].untyped_storage() for one in ones for name in tensors(rule, one.state)]
        sizes = [one.state[name].nbytes for one in ones for name in tensors(rule, one.state)]
        return all(there.nbytes() == size or there.data_ptr() in ours for there, size in zip(memory, sizes, strict=True))

    def _scratch(self, p: Tensor, n: int) -> Tensor:
        there = self.scratch.get((p.dtype, p.device))
        if there is None or there.shape[1] < n:
            there = self.scratch[p.dtype, p.device] = torch.empty(2, n, dtype=p.dtype, device=p.device)
        return there


class Row:
    """Some parameters side by side."""

    def __init__(self, rule: Optimizer, ones: Sequence[Moving], stacked: bool, scratch: Tensor) -> None:
        self.params, self.stacked = [one.p for one in ones], stacked
        n = sum(p.numel() for p in self.params)
        shape = (len(ones), *ones[0].p.shape) if stacked else (n,)
        self.p, self.g = (line[:n].view(shape) for line in scratch)
        self.p_views, self.g_views = self._parts(self.p, self.params), self._parts(self.g, self.params)
        self.lines: dict[str, Tensor] = {}
        self.views: dict[str, list[Tensor]] = {}
        self.places: dict[str, list[int]] = {}  # a tensor can be given other memory and be the same object still
        for name in tensors(rule, ones[0].state):
            column = [one.state[name] for one in ones]
            line = torch.stack(column) if stacked else torch.cat([x.reshape(-1) for x in column])
            self.lines[name], self.views[name] = line, self._parts(line, column)

    def claim(self, ones: Sequence[Moving]) -> None:
        """From now on the state lies here."""
        for name, views in self.views.items():
            self.places[name] = [view.data_ptr() for view in views]
            for one, view in zip(ones, views, strict=True):
                one.state[name] = view

    def _parts(self, line: Tensor, column: Sequence[Tensor]) -> list[Tensor]:
        if self.stacked:
            return list(line.unbind())
        return [part.view(x.shape) for x, part in zip(column, line.split([x.numel() for x in column]), strict=True)]

    def holds(self, ones: Sequence[Moving], stacked: bool) -> bool:
        """Are these its parameters still, with the state that it laid side by side?"""
        if (
            len(ones) != len(self.params)
            or stacked != self.stacked
            or self.p.dtype != ones[0].p.dtype
            or self.p.device != ones[0].p.device
        ):
            return False
        if not all(one.p is p for one, p in zip(ones, self.params)):
            return False
        for name, views in self.views.items():
            for one, view, place in zip(ones, views, self.places[name]):
                if one.state.get(name) is not view or view.data_ptr() != place:
                    return False
        return True

    def step_(self, rule: Optimizer, ones: Sequence[Moving], h: Any) -> None:
        """One step of all."""
        torch._foreach_copy_(self.p_views, self.params)  # pyright: ignore[reportPrivateImportUsage]
        torch._foreach_copy_(self.g_views, [one.g for one in ones])  # pyright: ignore[reportPrivateImportUsage]
        s: dict[str, Any] = {**self.lines, **{name: ones[0].state[name] for name in rule.numbers}}
        rule.step_(self.p, self.g, s, int(ones[0].state["step"]), _as_trials(h, self.p) if self.stacked else h)
        for name, line in self.lines.items():
            if s[name] is not line:  # a rule may put a new tensor in the place of its own
                line.copy_(s[name])
        torch._foreach_copy_(self.params, self.p_views)  # pyright: ignore[reportPrivateImportUsage]
        for name, views in self.views.items() if not self.places else ():
            torch._foreach_copy_([one.state[name] for one in ones], views)  # pyright: ignore[reportPrivateImportUsage]
        if rule.numbers:
            for one in ones:
                one.state.update({name: s[name] for name in rule.numbers})


def tensors(rule: Optimizer, s: dict[str, Any]) -> list[str]:
    """The names of the tensors in a state."""
    return [name for name, value in s.items() if isinstance(value, Tensor) and name not in rule.numbers and name != "step"]


def _as_trials(h: Any, p: Tensor) -> Any:
    """The settings of a stack whose trials all have these: its rate says how many there are."""
    lr = torch.full((len(p), *[1] * (p.ndim - 1)), h.lr, dtype=torch.float64, device=p.device)
    return SimpleNamespace(**{**vars(h), "lr": lr})
