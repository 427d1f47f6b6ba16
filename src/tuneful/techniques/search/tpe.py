"""Tree-structured Parzen estimator: draw where good trials are dense and bad ones are not.

The trials so far are split at a quantile of their values into good and bad; a density is fitted to each, l(x) and g(x), and
the next point is the draw from l with the largest l(x)/g(x). Dials are modelled together within each branch of a conditional
space. Trials that are paused or stopped count with the value that they reached.

Source: Bergstra et al., NeurIPS 2011; Watanabe, 2023, arXiv:2304.11127 (the many details).  Ours is Optuna's.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.core.config import Count
from tuneful.core.trial import AT_RANDOM
from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class TPE(Proposer):
    """Draws where good trials are dense and bad ones are not."""

    kind: Literal["tpe"] = "tpe"
    startup: Count = 8  # random trials before the first estimate
    candidates: Count = 24  # draws among which the best is taken

    source: ClassVar[str] = "Bergstra et al., NeurIPS 2011"
    cost: ClassVar[str] = "milliseconds a proposal, growing with trials times dials"

    def sampler(self, seed: int) -> BaseSampler:
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import TPESampler

        with warnings.catch_warnings():  # `multivariate` and `group` are called experimental since 2020
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(
                seed=seed % 2**32,
                n_startup_trials=self.startup,
                n_ei_candidates=self.candidates,
                multivariate=True,
                group=True,
            )

    def because(self, finished: int) -> str:
        if finished < self.startup:
            return f"{AT_RANDOM}; the estimate begins after {self.startup} trials"
        return f"likely to be good by the estimate over {finished} trials"
