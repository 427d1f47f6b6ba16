"""Denormals: numbers so close to zero that they are stored without all their digits, and that some processors compute with slowly.

A float32 below 2^-126 = 1.2e-38 in size has fewer digits; an operation on it can take a hundred times as long on a CPU. They gather
in the moments of Adam for weights whose gradient is tiny. What flushes them to zero (torch.set_flush_denormal) makes this check silent.

Source: IEEE 754; Dooley & Kale, "Quantifying the interference caused by subnormal floating-point values", 2006.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Count, Share
from tuneful.techniques.symptoms.seen import Seen, late
from tuneful.techniques.symptoms.symptom import Complaint, Symptom


class Denormals(Symptom):
    """Weights, gradients and moments that are neither zero nor of any use, and slow."""

    source: ClassVar[str] = "IEEE 754; Dooley & Kale, OSIHPA 2006"
    cost: ClassVar[str] = "one pass over weights, gradients and moments a look; on a CPU only"

    kind: Literal["denormals"] = "denormals"
    share: Share = 0.01  # of all numbers
    looks: Count = 2  # before anything is said

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """A complaint where the later looks found too many."""
        if len(seen.denormal) < self.looks or late(seen.denormal) <= self.share:
            return ()
        share = late(seen.denormal)
        said = (
            f"{share:.0%} of weights, gradients and moments are denormal (below 1.2e-38), which a CPU computes with slowly"
        )
        return (Complaint(self.kind, said, "torch.set_flush_denormal(True), once, before the training", share),)
