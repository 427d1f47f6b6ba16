"""A Gaussian process over the dials: propose where the expected improvement is largest.

Values are modelled with a Matern kernel with a length for each dial; the proposal maximizes the logarithm of the expected improvement.
Trials that are paused count with the value that they have at the longest length that enough trials have reached.

Source: Jones, Schonlau & Welch, J. Global Optim. 13 (1998); Ament et al., NeurIPS 2023, arXiv:2310.20708 (log EI).  Ours is Optuna's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.core.config import Count
from tuneful.core.storage import quiet
from tuneful.core.trial import AT_RANDOM
from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class GP(Proposer):
    """Where the expected improvement is largest, by a Gaussian process."""

    kind: Literal["gp"] = "gp"
    startup: Count = 10  # random trials before the first fit

    source: ClassVar[str] = "Jones, Schonlau & Welch, J. Global Optim. 13 (1998)"
    cost: ClassVar[str] = "a fit a proposal: a second or so beyond a hundred trials"

    def sampler(self, seed: int) -> BaseSampler:
        from optuna.samplers import GPSampler

        from tuneful.techniques.search.rated import level

        with quiet():
            return level(GPSampler(seed=seed % 2**32, n_startup_trials=self.startup, warn_independent_sampling=False))

    def because(self, finished: int) -> str:
        if finished < self.startup:
            return f"{AT_RANDOM}; the Gaussian process begins after {self.startup} trials"
        return f"the largest expected improvement by a Gaussian process over {finished} trials"
