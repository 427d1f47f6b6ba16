"""Labels that disagree with the loss: of the wrong shape, beyond the range that the loss takes, or never the same as outputs.

    mean squared error:      outputs [B, 1] beside targets [B] are broadcast to [B, B]: every output is compared with every target
    binary cross-entropy:    targets lie in [0, 1]; with -1 and 1, or 0 and 255, the loss has no bottom
    cross-entropy:           rows of target probabilities sum to 1; class numbers begin at 0: when 0 never occurs and the highest does,
                             they were counted from 1; one class alone teaches nothing

Source: ours; the definitions of the losses (Goodfellow et al., Deep Learning, 2016, section 6.2).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Count
from tuneful.techniques.symptoms.seen import Seen
from tuneful.techniques.symptoms.symptom import Complaint, Symptom


class Labels(Symptom):
    """Targets that the loss was not made for."""

    source: ClassVar[str] = "ours; Goodfellow et al., Deep Learning, 2016, section 6.2"
    cost: ClassVar[str] = "one pass over the targets a look; only where they are given"

    kind: Literal["labels"] = "labels"
    enough: Count = 200  # class numbers, before it is said that one is missing

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """One complaint, the first that holds."""
        outputs, targets = seen.shapes
        if seen.wants == "values" and outputs != targets and len(outputs) != len(targets) and outputs and targets:
            said = f"outputs have the shape {list(outputs)} and targets {list(targets)}: the loss compares each with every other"
            return (Complaint(self.kind, said, "targets.unsqueeze(1), or outputs.squeeze(1)", float(len(outputs))),)
        two = seen.wants in ("binary_logits", "binary_probabilities")
        if two and targets and (seen.lowest < 0 or seen.highest > 1):
            said = f"targets go from {seen.lowest:g} to {seen.highest:g}; binary cross-entropy takes 0 to 1"
            return (
                Complaint(
                    self.kind,
                    said,
                    "targets of 0 and 1 (or probabilities)",
                    seen.lowest if seen.lowest < 0 else seen.highest,
                ),
            )
        if two and not targets and any(loss < 0 for loss in seen.losses):
            lowest = min(seen.losses)
            said = f"binary cross-entropy is {lowest:.3g}; it cannot be negative, so targets lie outside of 0 to 1"
            return (Complaint(self.kind, said, "targets of 0 and 1 (or probabilities)", lowest),)
        if seen.wants == "logits" and seen.rows > 0.01:
            said = f"rows of target probabilities sum to something else than 1 (off by up to {seen.rows:.2g})"
            return (
                Complaint(
                    self.kind, said, "rows divided by their sum; for labels that exclude one another not, BCE", seen.rows
                ),
            )
        if seen.labels < self.enough or seen.wants not in ("logits", "log_probabilities"):
            return ()
        numbers = sorted(int(one) for one in seen.counts)
        if len(numbers) == 1:
            said = f"all of {seen.labels} labels are {numbers[0]}, of {seen.outputs} classes that the network tells apart"
            return (Complaint(self.kind, said, "shuffled data, and labels that were read from the right place", 1.0),)
        if seen.outputs > 2 and numbers[0] == 1 and numbers[-1] == seen.outputs - 1 and len(numbers) == seen.outputs - 1:
            said = f"class 0 is the only one that never occurs among {seen.labels} labels from 1 to {numbers[-1]}: they count from 1"
            return (Complaint(self.kind, said, f"labels less 1, and {seen.outputs - 1} outputs", 1.0),)
        return ()
