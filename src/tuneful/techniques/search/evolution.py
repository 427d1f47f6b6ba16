"""Regularized evolution: a child of the best of a few recent trials, with one dial changed.

Of the last `population` trials, `sample` are drawn; the best of them is the parent. The child has its dials but one: a choice gets another
value, a number moves by a normal step of `step` of its range. Age alone removes trials, so that a lucky value is not inherited for ever.
Before the population is full, dials are drawn at random.

Source: Real et al., AAAI 2019, algorithm 1, arXiv:1802.01548.  Steps of numbers are ours: the paper has only choices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.core.config import Count, Fraction
from tuneful.core.trial import AT_RANDOM
from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Evolution(Proposer):
    """A child of the best of a few recent trials, with one dial changed."""

    kind: Literal["evolution"] = "evolution"
    population: Count = 20  # the last trials, of which parents come
    sample: Count = 6  # drawn from them, of which the best is the parent
    step: Fraction = 0.15  # standard deviation of a number's change, as a share of its range

    source: ClassVar[str] = "Real et al., AAAI 2019, arXiv:1802.01548"
    cost: ClassVar[str] = "nothing"

    def sampler(self, seed: int) -> BaseSampler:
        import numpy as np
        from optuna.distributions import BaseDistribution, CategoricalDistribution
        from optuna.study import Study
        from optuna.trial import FrozenTrial

        from tuneful.core.chance import key
        from tuneful.techniques.search.dials import count, dial_by_dial, place
        from tuneful.techniques.search.rated import rated

        population, sample, step = self.population, self.sample, self.step

        def parent(study: Study, number: int) -> tuple[FrozenTrial, str] | None:
            """Whose child trial `number` is, and which dial changes; None while the population is not full."""
            known = rated(study)[-population:]
            if len(known) < population:
                return None
            dice = np.random.default_rng(key(seed, "parent", number))
            drawn = dice.choice(len(known), size=min(sample, len(known)), replace=False)
            best = min((known[int(k)] for k in drawn), key=lambda one: (one.loss, one.trial.number)).trial
            free = [name for name, dial in best.distributions.items() if count(dial) != 1]
            return best, str(dice.choice(free)) if free else ""

        def rule(study: Study, trial: FrozenTrial, name: str, dial: BaseDistribution) -> float:
            dice = np.random.default_rng(key(seed, f"dial {name}", trial.number))
            found = parent(study, trial.number)
            if found is None or name not in found[0].params:
                return float(dice.random())
            best, changed = found
            at = place(dial, best.params[name])
            if name != changed:
                return at
            many = count(dial)
            if isinstance(dial, CategoricalDistribution) and many is not None:
                return (at + int(dice.integers(1, many)) / many) % 1.0
            away = at
            for _ in range(100):
                away = float(at + dice.normal() * step)
                if 0 <= away <= 1 and (many is None or int(away * many) != int(at * many)):
                    break
            return away

        return dial_by_dial(rule)

    def because(self, finished: int) -> str:
        if finished < self.population:
            return f"{AT_RANDOM}; evolution begins with {self.population} trials"
        return f"a child of the best of {self.sample} of the last {self.population} trials, with one dial changed"
