"""Any sampler of Optuna's as a proposer, from Python.

    Sampled(lambda seed: optuna.samplers.QMCSampler(seed=seed), said="the next point of Optuna's QMC sampler")

A new sampler is made for every proposal, with a seed of its own, so that an interrupted search goes on as if it had not been: one that
keeps what it learns in itself, and not in the study, learns nothing. Paused trials are shown to it as `rated` judges them.

Source: Akiba et al., KDD 2019, arXiv:1907.10902.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Sampled(Proposer):
    """A sampler of Optuna's, made anew for every proposal. make: from a seed below 2^32; said: why it proposes what it does."""

    make: Callable[[int], Any]
    said: str = "proposed by a sampler of Optuna's"
    judged: bool = True  # is it to see paused trials at a length that enough have reached, as if they had ended there?

    source: ClassVar[str] = "Akiba et al., KDD 2019, arXiv:1907.10902"
    cost: ClassVar[str] = "the sampler's"

    def sampler(self, seed: int) -> BaseSampler:
        from tuneful.techniques.search.rated import level

        made: BaseSampler = self.make(seed % 2**32)
        return level(made) if self.judged else made

    def because(self, finished: int) -> str:
        return self.said
