"""Batch norms whose statistics are not to be trusted: taken over too few numbers, over none that vary, or not those that count later.

A norm takes mean m and deviation d over a batch while it trains, and running means of both when it is used.

    few:    a channel's statistics are taken over fewer than 8 numbers: their error is 1 / sqrt(2 (n - 1)) of d, above a quarter
    still:  channels that do not vary over a batch (variance below eps): the norm divides them by eps, not by their size
    gap:    |running mean - m| / d, the median over channels: what is used later differs from what was trained with

Running statistics begin at 0 and 1 and need some steps: the gap counts when what is left of the beginning, (1 - memory)^steps, is
below 5 %.

Source: Ioffe & Szegedy, ICML 2015, arXiv:1502.03167; Wu & He, ECCV 2018, arXiv:1803.08494 (small batches); Wu & Johnson 2021,
arXiv:2105.07576 (the gap).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Count, Positive, Share
from tuneful.techniques.symptoms.seen import Seen, late
from tuneful.techniques.symptoms.symptom import Complaint, Symptom, most


class BatchNorm(Symptom):
    """Batch norms over tiny batches, still channels, or with running statistics that lag behind."""

    source: ClassVar[str] = "Ioffe & Szegedy, ICML 2015, arXiv:1502.03167; Wu & Johnson 2021, arXiv:2105.07576"
    cost: ClassVar[str] = "one pass over the inputs of the norms a look"

    kind: Literal["batch_norm"] = "batch_norm"
    few: Count = 8  # numbers of a channel in a batch
    still: Share = 0.5  # of the channels of a norm
    gap: Positive = 1.0  # deviations
    looks: Count = 4  # before anything is said

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """Up to three complaints, each about all norms that have the trouble."""
        norms = {name: one for name, one in seen.norms.items() if len(one.still) >= self.looks}
        told: list[Complaint] = []
        small = [name for name, one in norms.items() if one.values < self.few]
        if small:
            n = min(norms[name].values for name in small)
            said = f"batch norms take their statistics over {n} numbers a channel ({most(small)}); {self.few} are too few already"
            told.append(Complaint(self.kind, said, "a larger batch, or group or layer norms, which need none", float(n)))
        still = {name: late(one.still) for name, one in norms.items() if late(one.still) > self.still}
        if still and not small:
            worst = max(still, key=lambda name: still[name])
            said = f"{still[worst]:.0%} of the channels of {worst} do not vary over a batch, so that the norm divides them by eps"
            told.append(
                Complaint(self.kind, said, "constant inputs and dead units before it are to be looked for", still[worst])
            )
        gap = {name: late(one.gap) for name, one in norms.items() if len(one.gap) >= self.looks and late(one.gap) > self.gap}
        if gap and not small:
            worst = max(gap, key=lambda name: gap[name])
            said = (
                f"running and batch means of {worst} are {gap[worst]:.2g} deviations apart (median over channels): the network will not "
                f"be used as it was trained (momentum {norms[worst].memory:g})"
            )
            remedy = "a larger momentum (0.1), shuffled data, a lower rate, or statistics taken anew after training"
            told.append(Complaint(self.kind, said, remedy, gap[worst]))
        return tuple(told)
