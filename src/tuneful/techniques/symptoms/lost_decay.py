"""Weight decay that rounding takes back: lr * decay below half an ulp.

Decoupled decay multiplies a weight by 1 - lr * decay. Numbers just below 1 stand ulp / 2 apart, ulp being the distance from 1 to the
number above it (2^-23 in float32, 2^-7 in bfloat16). A factor that lies nearer to 1 than a quarter ulp is 1; and a product that is
off by less than half the distance between its neighbours is rounded back: always below a quarter ulp, for some weights below half.

    lost for all weights below ulp / 4,  for some below ulp / 2

Source: IEEE 754, round to nearest; Goldberg, ACM Computing Surveys 23, 1991.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Count
from tuneful.techniques.symptoms.seen import Seen
from tuneful.techniques.symptoms.symptom import Complaint, Symptom


class LostDecay(Symptom):
    """Decay that is set, computed and rounded away."""

    source: ClassVar[str] = "IEEE 754; Goldberg, ACM Computing Surveys 23, 1991"
    cost: ClassVar[str] = "reads the optimizer's groups in each look"

    kind: Literal["lost_decay"] = "lost_decay"
    looks: Count = 2  # before anything is said

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """One complaint about the group that loses most."""
        lost = [one for one in seen.groups if 0 < one.share < one.ulp / 2] if seen.looks >= self.looks else []
        if not lost:
            return ()
        one = min(lost, key=lambda group: group.share / group.ulp)
        said = (
            f"decay is lost to rounding: lr * decay is {one.lr:.2g} * {one.decay:.2g} = {one.share:.2g}, below half an ulp of "
            f"{one.dtype} ({one.ulp / 2:.2g}), so {'every weight' if one.share < one.ulp / 4 else 'many a weight'} stays as it is"
        )
        remedy = (
            "a larger decay, weights in float32, or decay=0 that says so"
            if one.dtype != "float32"
            else "a larger decay, or decay=0 that says so"
        )
        return (Complaint(self.kind, said, remedy, one.share),)
