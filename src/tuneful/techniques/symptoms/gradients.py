"""Vanishing or exploding gradients, layer by layer.

    g_l = root mean square of the gradient of the weight of layer l;   compared with the median over all layers

Embeddings are left out: only the rows of the tokens of a batch have a gradient. The figure is the median of the later looks, so that
a layer which starts at zero and wakes up is not taken for a dead one.

Source: Bengio et al., IEEE Transactions on Neural Networks 5, 1994; Pascanu et al., ICML 2013, arXiv:1211.5063. The limits are ours:
of healthy runs (tests/pipeline/test_doctor_healthy.py) none comes within a factor of ten.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from tuneful.core.config import Count, Positive
from tuneful.techniques.symptoms.seen import Seen, late
from tuneful.techniques.symptoms.symptom import Complaint, Symptom, most


class Gradients(Symptom):
    """Layers whose gradient is lost on the way, or grows on it."""

    source: ClassVar[str] = "Bengio et al., IEEE Trans. Neural Networks 5, 1994; Pascanu et al., ICML 2013, arXiv:1211.5063"
    cost: ClassVar[str] = "one pass over the gradients a look"

    kind: Literal["gradients"] = "gradients"
    vanished: Positive = 1e-5  # of the largest layer's gradient
    exploded: Positive = 1e4  # root mean square of the gradient of any weight
    looks: Count = 4  # before anything is said

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """A complaint about layers whose gradient vanishes, and one about those whose gradient explodes."""
        size = {
            name: late(one.gradient)
            for name, one in seen.layers.items()
            if one.role in ("matrix", "head") and len(one.gradient) >= self.looks
        }
        if not size:
            return ()
        largest = max(size, key=lambda name: size[name])
        told: list[Complaint] = []
        high = [name for name, value in size.items() if value > self.exploded or not math.isfinite(value)]
        low = [name for name, value in size.items() if value < self.vanished * size[largest]]
        if high:
            said = f"the gradient explodes: that of {largest} is {size[largest]:.2g} (root mean square) in {most(high)}"
            said = f"the gradient explodes: its root mean square is {size[largest]:.2g} in {largest}" + (
                f", and too large in {most([n for n in high if n != largest])}" if len(high) > 1 else ""
            )
            told.append(
                Complaint(self.kind, said, "clipping, smaller initial weights, a norm between the layers", size[largest])
            )
        elif low:
            worst = min(low, key=lambda name: size[name])
            share = size[worst] / size[largest] if size[largest] > 0 else 0.0
            said = (
                f"the gradient vanishes: in {worst} it is {share:.1g} of that in {largest} ({size[worst]:.2g} and {size[largest]:.2g})"
                + (f"; also in {most([n for n in low if n != worst])}" if len(low) > 1 else "")
            )
            remedy = "init=he (xavier for tanh), a norm between the layers, skip connections, or fewer layers"
            told.append(Complaint(self.kind, said, remedy, share))
        return tuple(told)
