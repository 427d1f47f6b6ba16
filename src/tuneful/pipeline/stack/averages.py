"""The exponential averages of all members' weights, moved in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tuneful.pipeline.stack.bank import Bank
from tuneful.pipeline.train import Run
from tuneful.techniques.regularizers import Averaging


class Averages:
    """runs: of which each keeps one exponential average, in the order of the rows; live: their weights."""

    def __init__(self, runs: Sequence[Run], live: Bank) -> None:
        self.runs, self.live = list(runs), live
        self.bank = Bank([run.kept.network.body for run in runs])
        for run in runs:
            run.kept.bind()

    @staticmethod
    def serve(run: Run) -> bool:
        """Is this the only average of a run?"""
        return run.kept.single and type(run.kept.keepers[0]) is Averaging

    @torch.no_grad()
    def update_(self, begin: int, end: int) -> None:
        """After a step of members begin .. end, whose counts do not yet count it."""
        shares = [run.kept.keepers[0].share(run.step + 1) for run in self.runs[begin:end]]
        old: list[Tensor] = []
        new: list[Tensor] = []
        for name, average in self.bank.tensors.items():
            value = self.live.tensors[name][begin:end]
            if average.is_floating_point():
                old.append(average[begin:end])
                new.append(value)
            else:
                average[begin:end].copy_(value)
        if len(set(shares)) == 1:
            torch._foreach_lerp_(old, new, shares[0])  # pyright: ignore[reportPrivateImportUsage]
            return
        column = torch.tensor(shares, dtype=torch.float64)
        for one, value in zip(old, new, strict=True):
            one.lerp_(value, column.to(one).reshape(-1, *[1] * (one.ndim - 1)))

    def free(self) -> None:
        """Give every member's average memory of its own again."""
        for run in self.runs:
            Bank.free(run.kept.network.body)
            run.kept.bind()
