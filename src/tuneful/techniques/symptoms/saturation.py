"""Saturated activations: values of a sigmoid or tanh that lie at its ends, where its slope is gone.

    sigmoid: s < 0.01 or s > 0.99 (slope below 4 % of its greatest);   tanh: |t| > 0.98 (the same point, since tanh a = 2 sigmoid 2a - 1)

The network's own output is not looked at: a classifier that is sure of itself is at the end of its sigmoid, and should be.

Source: Glorot & Bengio, AISTATS 2010, section 3.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Count, Share
from tuneful.techniques.symptoms.seen import Seen, late
from tuneful.techniques.symptoms.symptom import Complaint, Symptom, most


class Saturation(Symptom):
    """Activations at their ends, which let no gradient through."""

    source: ClassVar[str] = "Glorot & Bengio, AISTATS 2010, section 3"
    cost: ClassVar[str] = "one pass over the activations a look"

    kind: Literal["saturation"] = "saturation"
    share: Share = 0.8  # of an activation's values
    looks: Count = 4  # before anything is said

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """One complaint about all activations that are saturated in the later looks."""
        found = {
            name: share
            for name, one in seen.bounded.items()
            if len(one.saturated) >= self.looks and (share := late(one.saturated)) > self.share
        }
        if not found:
            return ()
        worst = max(found, key=lambda name: found[name])
        more = f"; so are {most([n for n in found if n != worst])}" if len(found) > 1 else ""
        said = f"{found[worst]:.0%} of the values of {worst} ({seen.bounded[worst].kind}) are within 1 % of its ends{more}"
        remedy = "normalized inputs, smaller initial weights (init=xavier), a batch or layer norm before it, or a lower rate"
        return (Complaint(self.kind, said, remedy, found[worst]),)
