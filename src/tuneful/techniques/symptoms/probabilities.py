"""A head that outputs probabilities into a loss that wants logits.

Cross-entropy takes logits and makes probabilities of them itself. A softmax before it is a second one: its outputs lie between 0 and
1, so the probability of any class is at most e / (e + L - 1) for L classes, and the loss cannot fall below log(1 + (L - 1) / e): 1.46
for ten classes. A sigmoid before a binary cross-entropy of logits likewise leaves at least log(1 + 1 / e) = 0.31 for class 1.
The other way round, a loss of (log) probabilities that is given logits has no bottom.

Source: ours, from the definitions; that softmax is easy to apply twice is said in the documentation of torch.nn.CrossEntropyLoss.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from tuneful.core.config import Count
from tuneful.techniques.symptoms.seen import Seen
from tuneful.techniques.symptoms.symptom import Complaint, Symptom


class Probabilities(Symptom):
    """Softmax or sigmoid twice, or not at all."""

    source: ClassVar[str] = "ours, from the definitions"
    cost: ClassVar[str] = "looks at the outputs and at the loss's graph in each look"

    kind: Literal["probabilities"] = "probabilities"
    looks: Count = 2  # before anything is said

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """One complaint where head and loss do not fit."""
        if seen.looks < self.looks:
            return ()
        if seen.wants in ("logits", "binary_logits") and seen.head in ("softmax", "sigmoid"):
            wide = max(seen.outputs, 2)
            least = math.log1p((wide - 1) / math.e) if seen.wants == "logits" else math.log1p(1 / math.e)
            said = (
                f"the network gives probabilities ({seen.head}) to a loss that wants logits and applies its own: "
                f"it can{'not' if seen.wants == 'logits' else ' hardly'} fall below {least:.2f}"
            )
            return (Complaint(self.kind, said, f"the head without its {seen.head}; apply it when you predict", least),)
        if seen.wants == "log_probabilities" and (seen.head == "softmax" or any(loss < 0 for loss in seen.losses)):
            gives = "probabilities (softmax)" if seen.head else "logits"
            said = f"the network gives {gives} to NLLLoss, which wants their logarithm: the loss has gone to {min(seen.losses):.3g}"
            return (
                Complaint(self.kind, said, "log_softmax as the last layer, or CrossEntropyLoss on logits", min(seen.losses)),
            )
        return ()
