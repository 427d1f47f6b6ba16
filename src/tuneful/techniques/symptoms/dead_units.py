"""Dead units: rows of a weight that no example moves any more.

A unit behind a rectifier whose input is negative for every example gives zero, and its row of the weight has a gradient of exactly
zero; so has a unit that nothing behind it listens to. A row counts as dead when its gradient was zero in every look, and each look
is another batch.

Source: Lu et al., "Dying ReLU and initialization", arXiv:1903.06733, section 2. That half of a layer is too many is ours.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Count, Share
from tuneful.techniques.symptoms.seen import Seen
from tuneful.techniques.symptoms.symptom import Complaint, Symptom, most


class DeadUnits(Symptom):
    """Units that have had no gradient in any look: capacity that is paid for and not used."""

    source: ClassVar[str] = "Lu et al., arXiv:1903.06733"
    cost: ClassVar[str] = "one pass over the gradients a look"

    kind: Literal["dead_units"] = "dead_units"
    share: Share = 0.5  # of a layer's units
    looks: Count = 6  # before anything is said

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """One complaint about all layers with too many dead units."""
        layers = {name: one for name, one in seen.layers.items() if one.role == "matrix" and len(one.asleep) >= self.looks}
        found = {name: one.asleep[-1] / one.units for name, one in layers.items() if one.asleep[-1] > self.share * one.units}
        if not found:
            return ()
        worst = max(found, key=lambda name: found[name])
        one = layers[worst]
        said = (
            f"{one.asleep[-1]} of {one.units} units of {worst} are dead: they had no gradient in any of {len(one.asleep)} looks"
            + (f"; so are many of {most([n for n in found if n != worst])}" if len(found) > 1 else "")
        )
        remedy = "a third of the learning rate, init=he, or an activation that does not close (leaky ReLU, GELU)"
        return (Complaint(self.kind, said, remedy, found[worst]),)
