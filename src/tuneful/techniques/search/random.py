"""Random search: every dial drawn from its range, uniformly (or uniformly in the logarithm).

Hard to beat with few trials and many dials, needs nothing to be known, and is the yardstick of every other proposer.

Source: Bergstra & Bengio, JMLR 13 (2012), 281-305.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.core.trial import AT_RANDOM
from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Random(Proposer):
    """Every dial drawn at random from its range."""

    kind: Literal["random"] = "random"

    source: ClassVar[str] = "Bergstra & Bengio, JMLR 13 (2012)"
    cost: ClassVar[str] = "nothing"

    def sampler(self, seed: int) -> BaseSampler:
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed % 2**32)

    def because(self, finished: int) -> str:
        return AT_RANDOM
