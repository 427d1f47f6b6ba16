"""Grid search: every value of every dial with every value of all others.

A number is tried at `levels` values evenly spread over its range (or its logarithm), both ends included; a choice at all of its own.
The first dial changes fastest. With few dials a grid is easy to read; with many it spends most trials on repeating what does not matter.

Source: Bergstra & Bengio, JMLR 13 (2012), 281-305, who show where it loses to chance.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.core.config import Count
from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Grid(Proposer):
    """Every value of every dial with every value of all others."""

    kind: Literal["grid"] = "grid"
    levels: Count = 4  # values of a dial that is a number

    source: ClassVar[str] = "Bergstra & Bengio, JMLR 13 (2012)"
    cost: ClassVar[str] = "nothing; trials grow with the power of the dials"

    def sampler(self, seed: int) -> BaseSampler:
        from optuna.distributions import BaseDistribution, CategoricalDistribution
        from optuna.study import Study
        from optuna.trial import FrozenTrial

        from tuneful.techniques.search.dials import count, dial_by_dial

        def many(dial: BaseDistribution) -> int:
            own = count(dial)
            return (
                own if own is not None and (own < self.levels or isinstance(dial, CategoricalDistribution)) else self.levels
            )

        def rule(study: Study, trial: FrozenTrial, name: str, dial: BaseDistribution) -> float:
            """The trial's number, read as figures of which the dials before this one have taken theirs."""
            before = math.prod(many(trial.distributions[one]) for one in trial.params if one != name)
            figure = trial.number // before % many(dial)
            if many(dial) == count(dial):
                return (figure + 0.5) / many(dial)
            return figure / max(1, many(dial) - 1)

        return dial_by_dial(rule)

    def because(self, finished: int) -> str:
        return f"the next point of a grid of {self.levels} values a dial"
