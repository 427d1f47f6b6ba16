"""NSGA-II: parents are chosen by who is dominated by whom, children mix their dials. For several objectives, or one.

Of each generation those stay that the fewest others are better than in all objectives, and of equals those in the emptiest region.
Trials that are paused count with the value that they have at the longest length that enough trials have reached.

Source: Deb et al., IEEE Trans. Evol. Comput. 6 (2002), 182-197.  Ours is Optuna's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.core.config import Count
from tuneful.core.trial import AT_RANDOM
from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class NSGAII(Proposer):
    """Children of trials that few others dominate."""

    kind: Literal["nsga_ii"] = "nsga_ii"
    population: Count = 20  # trials of a generation

    source: ClassVar[str] = "Deb et al., IEEE Trans. Evol. Comput. 6 (2002)"
    cost: ClassVar[str] = "milliseconds a proposal"

    def sampler(self, seed: int) -> BaseSampler:
        from optuna.samplers import NSGAIISampler

        from tuneful.techniques.search.rated import level

        return level(NSGAIISampler(seed=seed % 2**32, population_size=max(2, self.population)))

    def because(self, finished: int) -> str:
        if finished < self.population:
            return f"{AT_RANDOM}; the first generation has {self.population} trials"
        return f"a child of generation {finished // self.population}"
