"""Divergence: will this run come to nothing? Told from the losses of its first 200 mini-batches, L_1 ... L_200.

    s_t   = median(L_t, L_t+1, L_t+2)                       one odd batch is no rise
    rise  = max over t of (s_t - min over u <= t of s_u) / L_1
    noise = median |L_t+1 - L_t| / median L_t               over the last 50
    level = median of the last 50 / L_1

    doomed:  a loss is not finite,  or  rise > sigmas * noise and level > 0.9

In words: the loss has climbed by more than chance can explain, and has not come back below where it began. L_1 is the loss of the
untrained network, which knows nothing; a run that stands there after 200 steps and has climbed in between was thrown there by its
steps. A rate that is too low stands there as well, but has not climbed.

Why 5 and 7: for losses that are Gaussian noise and nothing else, median |L_t+1 - L_t| = 0.954 sigma, and the rise is 3.5 times the
noise in the middle, 6 times in one run of 100, 7 times in one of 1000 (simulated). What is above 5 is told, and what is above 7 may end
a run.

Source: ours; noise from successive differences as in von Neumann et al., Annals of Mathematical Statistics 12, 1941. Measured on the
1080 complete trainings of DeepOBS (Schneider et al., ICLR 2019): benchmarks/divergence.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import median
from typing import ClassVar, Literal

from tuneful.core.config import Count, Fraction, Positive
from tuneful.techniques.symptoms.seen import Seen
from tuneful.techniques.symptoms.symptom import Complaint, Symptom


class Divergence(Symptom):
    """A run that will diverge, or collapse to what an untrained network knows, recognized in its first 200 steps."""

    source: ClassVar[str] = "ours; noise from successive differences, von Neumann et al., Ann. Math. Stat. 12, 1941"
    cost: ClassVar[str] = "one number a step; nothing waits for the device"

    kind: Literal["divergence"] = "divergence"
    steps: Count = 200  # mini-batches that are looked at
    last: Count = 50  # those of them that tell where the loss stands now
    sigmas: Positive = 5.0  # a rise of so many times the noise is told
    certain: Positive = 7.0  # a rise of so many times the noise may end a run
    kept: Fraction = 0.9  # share of the first loss below which the run has come back

    def judge(self, seen: Seen) -> tuple[Complaint, ...]:
        """A complaint about a doomed run; none before `steps` losses were seen, unless one of them is not finite."""
        losses = seen.losses[: self.steps]
        bad = next((at for at, loss in enumerate(losses) if not math.isfinite(loss)), None)
        if bad is not None:
            said = f"the training loss became {losses[bad]} in step {bad + 1}"
        else:
            rise, noise, level = self.measured(losses)
            if not (rise > self.sigmas * noise and level > self.kept):
                return ()
            times = f"{rise / noise:.2g} times the noise between batches" if noise > 0 else "where batches make no noise"
            said = (
                f"the training loss rose by {rise * losses[0]:.3g}, {times}, and after {len(losses)} steps stands at "
                f"{level * losses[0]:.3g}, where it began at {losses[0]:.3g}: this run will come to nothing"
            )
        remedy = "a third of the learning rate, or a longer warm-up (warmup=0.1), or clipping"
        return (Complaint(self.kind, said, remedy, self.score(losses)),)

    def score(self, losses: Sequence[float]) -> float:
        """How many times the noise the loss has risen without coming back: 0 where it has come back, inf where it is not finite."""
        if not all(math.isfinite(loss) for loss in losses[: self.steps]):
            return math.inf
        rise, noise, level = self.measured(losses[: self.steps])
        if not level > self.kept or rise <= 0:
            return 0.0
        return rise / noise if noise > 0 else math.inf

    def measured(self, losses: Sequence[float]) -> tuple[float, float, float]:
        """(rise, noise, level) of finite losses; zeros before there are `steps` of them, or where the first is not positive, so
        that shares of it mean nothing."""
        if len(losses) < self.steps or losses[0] <= 0:
            return 0.0, 0.0, 0.0
        rise, lowest = 0.0, math.inf
        for three in zip(losses, losses[1:], losses[2:], strict=False):
            smooth = median(three)
            lowest = min(lowest, smooth)
            rise = max(rise, smooth - lowest)
        end = losses[-self.last :]
        now = median(end)
        noise = median(abs(b - a) for a, b in itertools.pairwise(end))
        return rise / losses[0], noise / now if now > 0 else 0.0, now / losses[0]
