"""A learning rate at the edge of divergence: the sharpness of the loss times the rate, over the limit of stability.

Gradient descent on a parabola of curvature c runs away when lr c > 2. With s the largest eigenvalue of the Hessian of the loss
(for Adam of P^-1 H, P = diag(sqrt(v) + eps), both corrected for their start), found by Hessian-vector products:

    edge = s lr / limit      limit: 2 (gradient descent);  2 (1 + beta) (momentum as torch counts it);
                             2 (1 + beta1) / (1 - beta1) (Adam's kin: 38 for 0.9)

A run with edge near 1 is not ill: full-batch training goes there by itself and stays (the edge of stability), and beginnings up to
2 settle by a short rise of the loss (the catapult). Beyond that the steps throw the weights further than the loss can hold, so that is
where the complaint begins. The loss of mini-batches is noisy and its sharpness larger than that of the whole; the median of the looks
counts.

Source: Cohen et al., ICLR 2021, arXiv:2103.00065, and 2022, arXiv:2207.14484 (Adam); Lewkowycz et al. 2020, arXiv:2003.02218 (up to
twice the limit, the catapult).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneful.core.config import Count, Positive
from tuneful.techniques.symptoms.seen import Seen
from tuneful.techniques.symptoms.symptom import Complaint, Symptom


class RateEdge(Symptom):
    """A rate so high that only luck holds the weights."""

    source: ClassVar[str] = "Cohen et al., ICLR 2021, arXiv:2103.00065; Lewkowycz et al. 2020, arXiv:2003.02218"
    cost: ClassVar[str] = "about 20 gradients for each of its measurements; only where the loss can be taken again"

    kind: Literal["rate_edge"] = "rate_edge"
    edge: Positive = 2.0  # times the limit of stability
    looks: Count = 2  # before anything is said

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """A complaint where the sharpness was measured and is too large for the rate."""
        edges = sorted(seen.sharpness)
        if len(edges) < self.looks or not edges[len(edges) // 2] > self.edge:
            return ()
        edge = edges[len(edges) // 2]
        said = f"the learning rate is at the edge of divergence: rate times sharpness is {edge:.2g} times the limit of stability"
        return (
            Complaint(
                self.kind, said, f"a learning rate that is lower by a factor of {edge:.1f} or more, or a warm-up", edge
            ),
        )
