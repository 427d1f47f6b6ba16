"""The steps of torch's SGD, Adam and AdamW for K small networks at once, on states that lie side by side as [K, N].

    Adam     m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  p -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)
    SGD      b = mu b + (1 - damp) g,                          p -= lr b,  or lr (g + mu b) by Nesterov's way

A kernel a member costs some ten microseconds however small its network is; this costs some operations for all of them: where betas and
counts of steps are the same, Adam's is torch's kernel, once (LOG.md has what each costs). Each
member's own optimizer holds its row of the states, so that whatever steps it alone, or saves it, finds them. The same up to rounding.

Source: the equations of `techniques.optimizers` (Kingma & Ba 2015; Loshchilov & Hutter 2019; Polyak 1964).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tuneful.pipeline.stack.bank import Bank
from tuneful.pipeline.train import Run
from tuneful.techniques.optimizers.fused import FusedAdam, FusedAdamW, FusedSGD

MOST = 1 << 19  # numbers of all members together up to which this is faster on a CPU than a kernel each, see LOG.md
Named = Sequence[Mapping[str, Tensor]]


class Columns:
    """runs: all members, in the order of the bank's rows, whose optimizers have their states; groups: the parameters' names."""

    def __init__(self, runs: Sequence[Run], bank: Bank, groups: Sequence[Sequence[str]], named: Named) -> None:
        self.runs, self.bank, self.groups = list(runs), bank, groups
        self.names = [name for names in groups for name in names]
        self.sizes = [named[0][name].numel() for name in self.names]
        first: Any = runs[0].optimizer
        self.adam = not isinstance(first, FusedSGD)
        self.kept = {kind: self._joined(kind, named) for kind in first.way.kept(first.param_groups[0])}
        self.counts = (
            [[run.optimizer.state[one[n]]["step"] for n in self.names] for run, one in zip(runs, named)] if self.adam else []
        )
        self.lines = [[run.optimizer.param_groups[at] for run in runs] for at in range(len(groups))]
        self.read()

    @staticmethod
    def serve(runs: Sequence[Run], named: Named) -> bool:
        """Is this the way for them? Groups may differ in decay alone, and members in rates, decays, momenta, betas and eps."""
        first: Any = runs[0].optimizer
        if not isinstance(first, FusedSGD | FusedAdam | FusedAdamW):
            return False
        params = list(named[0].values())
        small = len(runs) * sum(p.numel() for p in params) <= MOST
        plain = all(p.is_contiguous() and p.dtype == params[0].dtype and not p.is_complex() for p in params)
        if not plain or (params[0].device.type == "cpu" and not small):
            return False
        flags = ("nesterov", "dampening", "amsgrad", "maximize", "decoupled_weight_decay")
        for run in runs:
            own, *others = run.optimizer.param_groups
            if any(g[key] != own[key] for g in others for key in own if key not in ("params", "weight_decay")):
                return False
            if own["maximize"] or any(own.get(flag) != first.param_groups[0].get(flag) for flag in flags):
                return False
            if bool(own.get("momentum")) != bool(first.param_groups[0].get("momentum")):
                return False
        return True

    def _joined(self, kind: str, named: Named) -> Tensor:
        """One kind of state of all parameters and members, [K, N]; each member's own becomes a part of its row."""
        rows = [[run.optimizer.state[one[n]][kind] for n in self.names] for run, one in zip(self.runs, named, strict=True)]
        joined = torch.stack([torch.cat([part.reshape(-1) for part in row]) for row in rows])
        for row, line in zip(rows, joined.unbind(0), strict=True):
            for part, place in zip(row, line.split(self.sizes), strict=True):
                part.data = place.view(part.shape)
        return joined

    def write(self) -> None:
        """Bring the counts of steps into the members' own optimizers."""
        for t, row in zip(self.steps if self.adam else (), self.counts, strict=self.adam):
            for count in row:
                count.fill_(t)

    def read(self) -> None:
        """Take note of steps that members have taken by themselves."""
        self.steps = [int(row[0]) for row in self.counts]

    def step_(self, begin: int, end: int, grads: Mapping[str, Tensor]) -> None:
        """One step of members begin .. end, in place. grads: [k, *shape] of each parameter."""
        lines = [line[begin:end] for line in self.lines]
        own = lines[0]
        decays = [[g["weight_decay"] for g in line] for line in lines]
        free = self.adam and own[0]["decoupled_weight_decay"]
        groups = [[(name, self.bank.tensors[name][begin:end]) for name in names] for names in self.groups]
        rates = [one["lr"] for one in own]
        each: list[Tensor] = []
        for group, shares in zip(groups, decays, strict=True):
            moves = any(shares)
            column = _column([1.0 - d * lr for d, lr in zip(shares, rates, strict=True)] if free else shares, group[0][1])
            for name, p in group:
                if moves and free:
                    p.mul_(_shaped(column, p))
                each.append(torch.addcmul(grads[name], _shaped(column, p), p) if moves and not free else grads[name])
        g = torch.cat([one.reshape(end - begin, -1) for one in each], dim=1)
        moved, rates = self._adam(begin, end, g, own, rates) if self.adam else (self._sgd(begin, end, g, own), rates)
        column = _column(rates, g)
        params = (p for group in groups for _, p in group)
        for p, u in zip(params, moved.split(self.sizes, dim=1), strict=True):
            p.addcmul_(u.view(p.shape), _shaped(column, p), value=-1)

    def _adam(
        self, begin: int, end: int, g: Tensor, own: Sequence[dict[str, Any]], rates: list[float]
    ) -> tuple[Tensor, list[float]]:
        """What the rates of the parameters are multiplied with, [k, N], and those rates."""
        counts = self.steps[begin:end] = [t + 1 for t in self.steps[begin:end]]
        m, v = (self.kept[kind][begin:end] for kind in ("exp_avg", "exp_avg_sq"))
        most = self.kept["max_exp_avg_sq"][begin:end] if own[0]["amsgrad"] else None
        betas, eps = own[0]["betas"], own[0]["eps"]
        if counts.count(counts[0]) == len(counts) and all(one["betas"] == betas and one["eps"] == eps for one in own):
            # One kernel for all, on zeros in the place of the weights: at a rate of -1 they become what is to be taken off.
            moved, at = torch.zeros_like(g), torch.tensor(float(counts[0]), device=g.device)
            torch._fused_adam_(  # pyright: ignore[reportPrivateImportUsage]
                [moved], [g], [m], [v], [] if most is None else [most], [at], lr=-1.0, beta1=betas[0], beta2=betas[1],
                weight_decay=0.0, eps=eps, amsgrad=most is not None, maximize=False,
            )  # fmt: skip
            return moved, rates
        m.lerp_(g, _each([1.0 - one["betas"][0] for one in own], g))
        v.lerp_(g * g, _each([1.0 - one["betas"][1] for one in own], g))
        seen = [(1.0 - one["betas"][1] ** t) ** 0.5 for one, t in zip(own, counts, strict=True)]
        rates = [rate * s / (1.0 - one["betas"][0] ** t) for rate, one, s, t in zip(rates, own, seen, counts, strict=True)]
        if most is not None:
            v = torch.maximum(most, v, out=most)
        r = v.sqrt().add_(_each([one["eps"] * s for one, s in zip(own, seen, strict=True)], g))
        return torch.div(m, r, out=r), rates

    def _sgd(self, begin: int, end: int, g: Tensor, own: Sequence[dict[str, Any]]) -> Tensor:
        """What the rates of the parameters are multiplied with, [k, N]."""
        if "momentum_buffer" in self.kept:
            held, share = self.kept["momentum_buffer"][begin:end], _each([one["momentum"] for one in own], g)
            held.mul_(share).add_(g, alpha=1.0 - own[0]["dampening"])
            g = g + share * held if own[0]["nesterov"] else held
        return g


def _each(values: list[float], like: Tensor) -> Any:
    """A setting of each member as a column; a plain number where it is the same for all."""
    return values[0] if values.count(values[0]) == len(values) else _column(values, like)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return _shaped(torch.tensor(values, dtype=like.dtype, device=like.device), like)


def _shaped(column: Tensor, like: Tensor) -> Tensor:
    return column.view(-1, *[1] * (like.ndim - 1))
