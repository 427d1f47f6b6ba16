"""A data path that is slower than the step it feeds.

    share = time before the step in which nothing is computed / the whole time of a step          medians over all steps

With one worker that reads ahead the two times would overlap: the run can be faster by a factor of 1 / max(share, 1 - share).

Source: the accounting is ours; Mohan et al., "Analyzing and mitigating data stalls in DNN training", VLDB 2021, arXiv:2007.06775.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Count, Share
from tuneful.techniques.symptoms.seen import Seen
from tuneful.techniques.symptoms.symptom import Complaint, Symptom


class DataPath(Symptom):
    """The network waits for its data."""

    source: ClassVar[str] = "Mohan et al., VLDB 2021, arXiv:2007.06775"
    cost: ClassVar[str] = "two looks at the clock a step; waits for the device"

    kind: Literal["data_path"] = "data_path"
    share: Share = 0.6  # of a step's time
    least: float = 0.002  # seconds that are waited for; below that nothing is worth changing
    looks: Count = 20  # steps, before anything is said

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """A complaint where most of the time is waited."""
        if min(len(seen.waited), len(seen.worked)) < self.looks:
            return ()
        waited, worked = _median(seen.waited), _median(seen.worked)
        share = waited / (waited + worked) if waited + worked > 0 else 0.0
        if share <= self.share or waited < self.least:
            return ()
        said = f"the data path is slower than the step: {waited * 1e3:.3g} ms are waited for a batch, and {worked * 1e3:.3g} ms computed"
        remedy = (
            f"data as tensors in memory, augmentation by batch, or a DataLoader with workers: up to {1 / max(share, 1 - share):.1f} times as fast "
            "with one that reads ahead"
        )
        return (Complaint(self.kind, said, remedy, share),)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
