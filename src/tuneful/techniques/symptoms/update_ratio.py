"""The length of a step beside the length of the weight that takes it.

    ratio = |w_t+1 - w_t| / |w_t|        about 1e-3 in a run that goes well

Far above, a weight forgets in a few steps what it was; far below, nothing is learned in the steps that there are. Weights that begin
at zero are passed over until they have grown: the figure is the median of the later looks.

Source: Bottou, "Stochastic gradient descent tricks", 2012, and the rule of thumb of 1e-3 in Stanford's CS231n notes ("ratio of
weights:updates"). The limits are ours and wide: rates of Adam, of Muon and of small networks differ by a factor of a hundred.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from tuneful.core.config import Count, Positive
from tuneful.techniques.symptoms.seen import Seen, late
from tuneful.techniques.symptoms.symptom import Complaint, Symptom, most

THROWN = 3.0  # times the first loss


class UpdateRatio(Symptom):
    """Steps that are far too long or far too short for the weights that take them."""

    source: ClassVar[str] = "Bottou, Stochastic gradient descent tricks, 2012; Stanford CS231n, notes on learning"
    cost: ClassVar[str] = "a copy of the weights in each look"

    kind: Literal["update_ratio"] = "update_ratio"
    low: Positive = 1e-6  # of the weight, in every layer
    high: Positive = 0.3  # of the weight, in any layer
    looks: Count = 4  # before anything is said

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """A complaint where one layer's steps are too long, or those of all layers too short."""
        ratio = {
            name: late(one.ratio)
            for name, one in seen.layers.items()
            if one.role in ("matrix", "head") and len(one.ratio) >= self.looks
        }
        ratio = {name: value for name, value in ratio.items() if math.isfinite(value)}
        if not ratio:
            return ()
        longest = max(ratio, key=lambda name: ratio[name])
        if ratio[longest] > self.high:
            high = [name for name, value in ratio.items() if value > self.high]
            said = f"a step changes {longest} by {ratio[longest]:.2g} of its length; about 0.001 is usual" + (
                f"; too much also in {most([n for n in high if n != longest])}" if len(high) > 1 else ""
            )
            remedy = f"a learning rate that is lower by a factor of {_round(ratio[longest] / 1e-2)}, or a warm-up"
            return (Complaint(self.kind, said, remedy, ratio[longest]),)
        if ratio[longest] < self.low and not _otherwise_ill(seen):
            said = (
                f"a step changes no layer by more than {ratio[longest]:.2g} of its length ({longest}); about 0.001 is usual"
            )
            factor = _round(1e-3 / ratio[longest]) if ratio[longest] > 0 else 0
            remedy = (
                f"a learning rate that is higher by a factor of {factor}" if factor else
                "weights that the optimizer was given, a rate above zero, or float32 where bfloat16 rounds each step away"
            )  # fmt: skip
            return (Complaint(self.kind, said, remedy, ratio[longest]),)
        return ()


def _otherwise_ill(seen: Seen) -> bool:
    """Was the loss thrown up, or are most units of a layer dead? Then nothing moves because of that, not for want of rate."""
    dead = any(2 * one.asleep[-1] > one.units for one in seen.layers.values() if one.role == "matrix" and one.asleep)
    return dead or (bool(seen.losses) and not max(seen.losses) < THROWN * max(seen.losses[0], 0.0))


def _round(factor: float) -> int:
    """A factor to one digit."""
    size = 10 ** math.floor(math.log10(max(factor, 1.0)))
    return max(2, int(round(factor / size) * size))
