"""The optimizers' steps of all members, by whichever way suits the optimizer.

    columns  torch's SGD, Adam and AdamW on states [K, N], where networks are small
    kernel   torch's fused kernels, member by member on their rows: the arithmetic of a single run to the last bit, one pass over
             memory, and a few microseconds a call
    rule     the rule itself on [K, *] with settings [K, 1, ...], where torch has no kernel and the networks are small
    alone    each member's own optimizer, for the rest and for a member's very first step, which makes its state

The state of each member stays its own optimizer's, so it is what a single run's is (see LOG.md for which way is fastest).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tuneful.pipeline.stack.bank import Bank, freed, laid
from tuneful.pipeline.stack.columns import Columns
from tuneful.pipeline.train import Run
from tuneful.techniques.optimizers import RuleOptimizer
from tuneful.techniques.optimizers.fused import FusedAdagrad, FusedAdam, FusedAdamW, FusedSGD

FUSED = (FusedSGD, FusedAdam, FusedAdamW, FusedAdagrad)
SMALL = 1 << 15  # numbers of a network up to which a rule is worked out for all members at once
Gradients = Mapping[str, Tensor]  # by the parameter's name, [K, *shape]


class Stepping:
    """runs: all members, in the order of the bank's rows."""

    def __init__(self, runs: Sequence[Run], bank: Bank) -> None:
        self.runs, self.bank = list(runs), bank
        self.way = ""
        self.state: list[dict[str, Any]] = []  # for each parameter of the first group, the next, ...: the rule's, stacked

    def step_(self, begin: int, end: int, grads: Gradients) -> None:
        """One step of members begin .. end, in place."""
        if not self.way and all(_begun(run) for run in self.runs):
            self._settle()
        with torch.no_grad():
            if self.way == "columns":
                self.columns.step_(begin, end, grads)
            elif self.way == "kernel":
                self._kernels(begin, end, grads)
            elif self.way == "rule":
                self._rule(begin, end, grads)
            else:
                self._alone(begin, end, grads)

    # ------------------------------------------------------------------------------------------------ ways

    def _settle(self) -> None:
        """All members have their state: choose the way, and lay out what it needs."""
        optimizer: Any = self.runs[0].optimizer
        self.named = [dict(run.body.named_parameters()) for run in self.runs]
        place = {p: name for name, p in self.named[0].items()}
        self.groups = [[place[p] for p in group["params"]] for group in optimizer.param_groups]
        fused = isinstance(optimizer, FUSED) and all(group.get("fused") for group in optimizer.param_groups)
        if fused and Columns.serve(self.runs, self.named):
            self.way, self.columns = "columns", Columns(self.runs, self.bank, self.groups, self.named)
            return
        if fused:
            self.way, self.kernel = "kernel", optimizer.way
            states = [
                [run.optimizer.state.get(named[n], {}) for names in self.groups for n in names]
                for run, named in zip(self.runs, self.named, strict=True)
            ]
            if "step" in states[0][0]:
                rows = [one["step"] for state in states for one in state]
                self.steps = laid(rows).view(len(self.runs), -1)
            self.lines = (
                [list(range(len(self.groups)))] if self._alike_but_decay() else [[i] for i in range(len(self.groups))]
            )
            self.rows = [self._lists(run, named) for run, named in zip(self.runs, self.named, strict=True)]
            return
        numbers = sum(p.numel() for p in self.named[0].values())
        if type(optimizer) is RuleOptimizer and not optimizer.settings.stackable and numbers <= SMALL:
            self.way = "rule"
            self.state = [
                self._stacked([run.optimizer.state[named[n]] for run, named in zip(self.runs, self.named, strict=True)])
                for names in self.groups
                for n in names
            ]
            return
        self.way = "alone"

    def _alone(self, begin: int, end: int, grads: Gradients) -> None:
        for at, run in enumerate(self.runs[begin:end]):
            for name, p in run.body.named_parameters():
                if name in grads:
                    p.grad = grads[name][at]
            run.optimizer.step()
            run.optimizer.zero_grad(set_to_none=True)

    # ------------------------------------------------------------------------------------------------ kernels

    def _alike_but_decay(self) -> bool:
        """Do the groups of each member differ in their decay alone? Then decay is applied to the stack, and one call does the rest."""
        for run in self.runs:
            first, *others = run.optimizer.param_groups
            same = [key for key in first if key not in ("params", "weight_decay")]
            if any(group[key] != first[key] for group in others for key in same) or first["maximize"]:
                return False
        return len(self.groups) > 1

    def _lists(self, run: Run, named: Mapping[str, Tensor]) -> list[dict[str, list[Any]]]:
        """For each line of groups the tensors of its parameters and of their state, in lists as the kernels take them."""
        found: list[dict[str, list[Any]]] = []
        for line in self.lines:
            params = [named[n] for i in line for n in self.groups[i]]
            states = [run.optimizer.state.get(p, {}) for p in params]
            kinds = {key for state in states for key, value in state.items() if isinstance(value, Tensor)}
            lists: dict[str, list[Any]] = {kind: [state[kind] for state in states] for kind in kinds}
            found.append({"p": params, **lists})
        return found

    def _kernels(self, begin: int, end: int, grads: Gradients) -> None:
        merged = len(self.lines) < len(self.groups)
        grads = self._decayed(begin, end, grads) if merged else grads
        each = {name: _alike(g, self.named[begin][name]).unbind(0) for name, g in grads.items()}
        if self.kernel.counts:
            self.steps[begin:end].add_(1)
        named = [[n for i in line for n in self.groups[i]] for line in self.lines]
        for at, k in enumerate(range(begin, end)):
            groups = self.runs[k].optimizer.param_groups
            for line, names, lists in zip(self.lines, named, self.rows[k], strict=True):
                group = groups[line[0]]
                decay = 0.0 if merged else group["weight_decay"]
                kept = [lists[name] for name in self.kernel.kept(group)]
                self.kernel.kernel_(
                    group, decay, lists["p"], [each[name][at] for name in names], kept, lists.get("step", [])
                )

    def _decayed(self, begin: int, end: int, grads: Gradients) -> Gradients:
        """Decay of all members at once: of the weights where it is decoupled, else the gradients with it."""
        found = dict(grads)
        for at, names in enumerate(self.groups):
            groups = [run.optimizer.param_groups[at] for run in self.runs[begin:end]]
            if not any(group["weight_decay"] for group in groups):
                continue
            free = groups[0].get("decoupled_weight_decay", False)
            shares = [group["weight_decay"] * (group["lr"] if free else 1.0) for group in groups]
            for name in names:
                p = self.bank.tensors[name][begin:end]
                column = _column(shares, p.ndim).to(p)
                if free:
                    p.mul_(1.0 - column)
                else:
                    found[name] = torch.addcmul(found[name], column, p)
        return found

    # ------------------------------------------------------------------------------------------------ rules

    def _stacked(self, states: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The state of one parameter in all members: tensors stacked, counts and numbers in lists."""
        return {
            name: laid([state[name] for state in states]) if isinstance(value, Tensor) else [s[name] for s in states]
            for name, value in states[0].items()
        }

    def _rule(self, begin: int, end: int, grads: Gradients) -> None:
        first: Any = self.runs[0].optimizer
        rule, place = first.settings, 0
        optimizers: list[Any] = [run.optimizer for run in self.runs[begin:end]]
        for at, names in enumerate(self.groups):
            hypers = [one.hyper(one.param_groups[at]) for one in optimizers]
            states, place = self.state[place : place + len(names)], place + len(names)
            for state in states:
                state["step"][begin:end] = [t + 1 for t in state["step"][begin:end]]
            turned = -1 if first.param_groups[at]["maximize"] else 1
            moved = [(name, turned * grads[name], state) for name, state in zip(names, states, strict=True)]
            together = [moved] if rule.separable(hypers[0]) else [[one] for one in moved]
            for row in together:
                self._row(rule, hypers, row, begin, end)

    def _row(
        self, rule: Any, hypers: Sequence[Any], row: Sequence[tuple[str, Tensor, dict[str, Any]]], begin: int, end: int
    ) -> None:
        """One parameter, or several whose numbers all move by themselves as one line of numbers."""
        params, states = [self.bank.tensors[name][begin:end] for name, _, _ in row], [state for _, _, state in row]
        axes = params[0].ndim if len(row) == 1 else 2
        tensors = [n for n, value in states[0].items() if isinstance(value, Tensor)]
        s: dict[str, Any] = {n: _joined([state[n][begin:end] for state in states]) for n in tensors}
        s |= {n: _column(states[0][n][begin:end], axes) for n in rule.numbers}
        p, t = _joined(params), states[0]["step"][begin:end]
        count = t[0] if len(set(t)) == 1 else torch.tensor(t).reshape(-1, *[1] * (axes - 1))
        rule.step_(p, _joined([g for _, g, _ in row]), s, count, _columns(rule, hypers, axes))
        for name in rule.numbers:
            values = s[name].flatten().tolist()
            for state in states:
                state[name][begin:end] = values
        for n in tensors:
            _parted(s[n], [state[n][begin:end] for state in states])
        _parted(p, params)

    # ------------------------------------------------------------------------------------------------ books

    def write(self) -> None:
        """Bring what is kept here as plain numbers into the members' own optimizers."""
        if self.way == "columns":
            self.columns.write()
        place = 0
        for names in self.groups if self.way == "rule" else ():
            for name in names:
                for k, (run, named) in enumerate(zip(self.runs, self.named, strict=True)):
                    own = run.optimizer.state[named[name]]
                    own.update({n: v[k] for n, v in self.state[place].items() if not isinstance(v, Tensor)})
                place += 1

    def read(self) -> None:
        """Take note of plain numbers that the members' own optimizers have changed."""
        if self.way == "columns":
            self.columns.read()
        place = 0
        for names in self.groups if self.way == "rule" else ():
            for name in names:
                states = [run.optimizer.state[named[name]] for run, named in zip(self.runs, self.named, strict=True)]
                for n, value in self.state[place].items():
                    if not isinstance(value, Tensor):
                        self.state[place][n] = [state[n] for state in states]
                place += 1

    @staticmethod
    def free(run: Run) -> None:
        """Give a member's state memory of its own again; `write` comes before it."""
        for state in run.optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    freed(value)


def _begun(run: Run) -> bool:
    """Has the optimizer made the state of all parameters? Plain descent has none."""
    optimizer = run.optimizer
    bare = isinstance(optimizer, torch.optim.SGD)
    groups = [group for group in optimizer.param_groups if not (bare and group["momentum"] == 0)]
    return all(optimizer.state.get(p) for group in groups for p in group["params"])


def _joined(rows: Sequence[Tensor]) -> Tensor:
    """[K, *] side by side as [K, N]; one alone as it is."""
    return (
        rows[0]
        if len(rows) == 1
        else torch.cat([row.flatten(1) if row.ndim > 1 else row.unsqueeze(1) for row in rows], dim=1)
    )


def _parted(line: Tensor, rows: Sequence[Tensor]) -> None:
    """Put back what `_joined` made."""
    if len(rows) == 1:
        if line is not rows[0]:
            rows[0].copy_(line)
        return
    parts = line.split([row[0].numel() for row in rows], dim=1)
    torch._foreach_copy_(list(rows), [part.reshape(row.shape) for part, row in zip(parts, rows, strict=True)])  # pyright: ignore[reportPrivateImportUsage]


def _column(values: Sequence[float], axes: int) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(-1, *[1] * (axes - 1))


def _columns(rule: Any, hypers: Sequence[Any], axes: int) -> Any:
    """Settings as a stack takes them: plain where they are flags, texts or fixed, else [K, 1, ...]; zero for all stays plain."""
    found: dict[str, Any] = {}
    for name in rule.hypers():
        values = [getattr(one, name) for one in hypers]
        plain = name in rule.fixed or isinstance(values[0], bool | str) or (name != "lr" and not any(values))
        found[name] = values[0] if plain else _column(values, axes)
    return SimpleNamespace(**found)


def _alike(g: Tensor, p: Tensor) -> Tensor:
    """Gradients [K, *shape] laid out as the parameter is, which the kernels ask for."""
    return g if g.stride()[1:] == p.stride() else torch.stack([torch.empty_like(p).copy_(row) for row in g.unbind(0)])
