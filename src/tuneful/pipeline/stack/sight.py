"""What the watch over the first steps sees of the members of a stack: measured of all at once, noted for each as for itself.

    sight = Sights(net).of(runs, bank, begin, end)      None where no member looks at this step
    ... forward, which tells it of norms, bounded layers and outputs; backward; the optimizer's step ...
    sight.moved(grads)

What is measured is what `pipeline.vitals` measures of one network; here every measure is a row of numbers, and leaves the device once.
Inside of vmap nothing can be read, so a network of which layers are looked at while it computes has to be a chain; else its members
take these steps one by one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.pipeline import vitals
from tuneful.pipeline.stack.bank import Bank
from tuneful.pipeline.stack.batch import Together
from tuneful.pipeline.stack.chance import Recorder
from tuneful.pipeline.stack.program import Program
from tuneful.pipeline.train import Run


class Sights:
    """net: of any member, whose structure all have; program: of all."""

    def __init__(self, net: nn.Module, program: Program | None) -> None:
        self.net, self.kinds = net, vitals.kinds_of(net)
        inner = [module for name, module in net.named_modules() if name and vitals.watched(module)]
        self.blind = (program is None or program.links is None) and bool(
            inner
        )  # is there something to be seen that cannot be?
        self.node: str | None = None  # what gives the outputs; None: not asked yet

    def of(self, runs: Sequence[Run], bank: Bank, begin: int, end: int) -> Sight | None:
        """The sight of a step of members begin .. end, which are these runs."""
        rows = [at for at, run in enumerate(runs) if run.early.looking]
        return Sight(self, runs, rows, bank, begin, end) if rows else None

    def head(self, batch: Together) -> str:
        """What gives the outputs, by the graph of one member."""
        if self.node is None:
            with torch.enable_grad(), Recorder():
                z = vitals.answer(copy.deepcopy(self.net)(batch.x if batch.shared else batch.x[0]))
            self.node = vitals.made_by(z) if z is not None else ""
        return self.node


class Sight:
    """One step. rows: of these runs, those that look at it."""

    def __init__(self, to: Sights, runs: Sequence[Run], rows: Sequence[int], bank: Bank, begin: int, end: int) -> None:
        self.to, self.runs, self.rows, self.bank = to, [runs[at] for at in rows], list(rows), bank
        self.begin, self.end, self.k = begin, end, end - begin
        self.before = {
            name: self._own(bank.tensors[name][begin:end]).clone() for name in bank.trained if bank.tensors[name].ndim > 2
        }
        self.told: list[
            Any
        ] = []  # what is to be noted when the step is done: a step that runs out of memory has shown nothing

    def _own(self, t: Tensor) -> Tensor:
        """[k, ...] of all members -> of those that look."""
        return t if len(self.rows) == self.k else t[self.rows]

    # ------------------------------------------------------------------------------------------------ on the way

    def norm(self, name: str, module: Any, x: Tensor, tensors: Mapping[str, Tensor]) -> None:
        """The input of a batch norm, [B, k * C, ...]."""
        with torch.no_grad():
            x, eps = x.detach().float(), module.eps
            values, memory = x.numel() // max(1, x.shape[1]), float(module.momentum)
            axes = [at for at in range(x.ndim) if at != 1]
            mean, deviation = (t.view(self.k, -1) for t in (x.mean(axes), x.var(axes, unbiased=False)))
            still = self._own((deviation < eps).float().mean(1)).tolist()
            gaps = (tensors[f"{name}.running_mean"] - mean).abs() / (deviation + eps).sqrt()
            gap = self._own(gaps.median(dim=1).values).tolist()
            steps = self._own(tensors[f"{name}.num_batches_tracked"]).tolist()
        for run, s, g, n in zip(self.runs, still, gap, steps, strict=True):
            settled = (1 - memory) ** n < vitals.SETTLED
            self.told.append((vitals.note_norm, run, (name, values, memory, s, g if settled else None)))

    def bounded(self, name: str, module: nn.Module, h: Tensor) -> None:
        """What a sigmoid or a tanh gives, [k, ...]."""
        if vitals.last(self.to.net, module):
            return
        with torch.no_grad():
            ends = vitals.at_ends(module, self._own(h.detach()).flatten(1)[:, : vitals.FEW].float()).mean(1).tolist()
        for run, share in zip(self.runs, ends, strict=True):
            self.told.append((vitals.note_bounded, run, (name, module, share)))

    def outputs(self, z: Tensor, batch: Together) -> None:
        """What the networks give, [k, B, ...], and for what."""
        node = self.to.head(batch)
        with torch.no_grad():
            z, target = self._own(z.detach()), self._own(batch.target)
            flat, wide = z.float(), int(z.shape[-1]) if z.ndim > 2 else 1
            inside = ((flat >= 0) & (flat <= 1)).flatten(1).all(1)
            ones = ((flat.sum(-1) - 1).abs() < 1e-3).flatten(1).all(1) if wide > 1 else torch.zeros_like(inside)
            sums = (inside & ones).tolist()
        for run, one in zip(self.runs, sums, strict=True):
            self.told.append((_outputs, run, (wide, node, one)))
        counted = self.runs[0].early.counts
        if counted and target.is_floating_point():
            off = (target.sum(-1) - 1).abs().amax(1) if target.ndim == 3 else target.new_zeros(len(target))
            ends = torch.stack([target.flatten(1).amin(1), target.flatten(1).amax(1), off])
            for run, three in zip(self.runs, ends.t().tolist(), strict=True):
                self.told.append((vitals.note_shares, run, tuple(three)))
        elif counted:
            lines = target.flatten(1)
            least, span = int(lines.min()), int(lines.max()) - int(lines.min()) + 1
            places = lines - least + span * torch.arange(len(lines), device=lines.device).unsqueeze(1)
            counts = torch.bincount(places.flatten(), minlength=span * len(lines)).view(len(lines), span).tolist()
            for run, line in zip(self.runs, counts, strict=True):
                there = [at for at, count in enumerate(line) if count]
                self.told.append((vitals.note_labels, run, ([least + at for at in there], [line[at] for at in there])))
        shapes = (tuple(z.shape[1:]), tuple(target.shape[1:])) if counted else None
        for run in self.runs if shapes else ():
            self.told.append((_shapes, run, (shapes,)))

    # ------------------------------------------------------------------------------------------------ behind it

    @torch.no_grad()
    def moved(self, grads: Mapping[str, Tensor]) -> None:
        """The step is done: note all that was seen of it. grads: [k, *shape] of each parameter, as the optimizer took them."""
        flushed = vitals.flushed()
        for at, run in zip(self.rows, self.runs, strict=True):
            run.early.seen.looks += 1
            vitals.see_groups(run.early.seen, run.optimizer)
            if not flushed:
                vitals.see_denormals(
                    run.early.seen, [*run.body.parameters(), *(g[at] for g in grads.values())], run.optimizer
                )
        for note, run, what in self.told:
            note(run.early.seen, *what)
        for name, before in self.before.items():
            if name not in grads:
                continue
            g, now = self._own(grads[name]), self._own(self.bank.tensors[name][self.begin : self.end])
            rows = g.reshape(len(g), g.shape[1], -1)
            gradient = rows.float().square().mean((1, 2)).sqrt()
            length, step = (t.float().flatten(1).norm(dim=1) for t in (before, now - before))
            still, kind = (rows == 0).all(2), self.to.kinds[name]
            asleep = [[at for at, one in enumerate(line) if one] for line in still.tolist()] if bool(still.any()) else None
            figures = torch.stack([gradient, length, step]).t().tolist()
            for at, (run, (rms, long, far)) in enumerate(zip(self.runs, figures, strict=True)):
                vitals.note_weight(run.early.seen, name, kind, g.shape[1], rms, long, far, asleep[at] if asleep else ())


def _outputs(seen: Any, wide: int, node: str, sums: bool) -> None:
    seen.outputs = wide
    vitals.note_head(seen, [node], sums)


def _shapes(seen: Any, shapes: Any) -> None:
    seen.shapes = shapes


__all__ = ["Sight", "Sights"]
