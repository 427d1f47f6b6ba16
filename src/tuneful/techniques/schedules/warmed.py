"""What all schedules share: a linear rise before their own shape begins.

    step <  w:  factor = (step + 1) / (w + 1)                    w = warmup * steps, in whole steps
    step >= w:  factor = shape((step - w) / (steps - w))

The first step already moves (its factor is not 0), the rise ends where the shape begins at 1, and the shape's end would be
the step after the last, so that no step is spent at a rate of nothing.

Source: Goyal et al. 2017, section 2.2, arXiv:1706.02677 (gradual warm-up).
"""

from __future__ import annotations

from abc import abstractmethod

from tuneful.core.config import Fraction
from tuneful.techniques.interfaces import Schedule


class Warmed(Schedule):
    """A shape over the share of the run that is done, after a linear rise."""

    warmup: Fraction = 0.0  # share of all steps that rise from near zero

    @abstractmethod
    def shape(self, done: float) -> float:
        """The factor when the share `done`, in [0, 1], of the steps after the warm-up is over; 1 at the start."""

    def factor(self, step: int, steps: int) -> float:
        """The factor for step 0 <= step < steps; a step beyond the last has the last shape's value, never a new rise."""
        rise = min(round(self.warmup * steps), steps - 1)
        if step < rise:
            return (step + 1) / (rise + 1)
        return self.shape(min((step - rise) / (steps - rise), 1.0))
