"""Coarse to fine: a sweep over the whole space, then finer ones around the best that was found.

Each sweep fills its box evenly with `sweep` points (Halton's). Then the box shrinks to `shrink` of its width along every dial that is a
number, with the best trial so far in its middle, or as near to it as the whole space allows; a choice keeps all its values for one
sweep more and then those of the better half of the trials. It is what people do by hand, and as they do it may lose a second valley.

`boxes` tells how it shrank: the report draws it.

Source: folklore; as a rule for tuning networks in Bengio, 2012, arXiv:1206.5533, section 3.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.core.config import Count, Fraction
from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study

Box = dict[str, tuple[float, float]]  # {dial: from where to where in [0, 1]}; a dial that is not in it is free


def boxes(study: Study, sweep: int, shrink: float, sweeps: int) -> list[Box]:
    """The boxes of the first sweeps, the whole space first."""
    from optuna.distributions import CategoricalDistribution

    from tuneful.techniques.search.dials import place
    from tuneful.techniques.search.rated import rated

    known = rated(study, enough=max(2, sweep // 2))
    out: list[Box] = [{}]
    for number in range(1, sweeps):
        then = [one for one in known if one.trial.number < number * sweep]
        if not then:
            out.append(out[-1])
            continue
        best = min(then, key=lambda one: (one.loss, one.trial.number)).trial
        box: Box = {}
        for name, dial in best.distributions.items():
            if isinstance(dial, CategoricalDistribution):
                continue
            low, high = out[-1].get(name, (0.0, 1.0))
            width = (high - low) * shrink
            start = min(max(place(dial, best.params[name]) - width / 2, 0.0), 1.0 - width)
            box[name] = start, start + width
        out.append(box)
    return out


class CoarseToFine(Proposer):
    """A sweep over the whole space, then finer ones around the best."""

    kind: Literal["coarse_to_fine"] = "coarse_to_fine"
    sweep: Count = 12  # trials of one sweep
    shrink: Fraction = 0.4  # of a box's width, along each dial, what the next has

    source: ClassVar[str] = "Bengio, 2012, arXiv:1206.5533, section 3.3"
    cost: ClassVar[str] = "nothing"

    def sampler(self, seed: int) -> BaseSampler:
        import numpy as np
        from optuna.distributions import BaseDistribution, CategoricalDistribution
        from optuna.trial import FrozenTrial

        from tuneful.core.chance import key
        from tuneful.techniques.search.dials import dial_by_dial, order
        from tuneful.techniques.search.halton import mirrored, primes
        from tuneful.techniques.search.rated import rated

        sweep, shrink = self.sweep, self.shrink

        def rule(study: Study, trial: FrozenTrial, name: str, dial: BaseDistribution) -> float:
            base = primes(order(study, trial, name) + 1)[-1]
            figures = np.random.default_rng(key(1, f"figures {name}")).permutation(base).tolist()
            at = mirrored(trial.number, base, figures)
            number = trial.number // sweep
            if isinstance(dial, CategoricalDistribution):
                good = sorted(rated(study, enough=max(2, sweep // 2)), key=lambda one: (one.loss, one.trial.number))
                had = [one.trial.params[name] for one in good[: (len(good) + 1) // 2] if name in one.trial.params]
                kept = [k for k, one in enumerate(dial.choices) if one in had] if number > 1 else []
                kept = kept or list(range(len(dial.choices)))
                return (kept[int(at * len(kept))] + 0.5) / len(dial.choices)
            low, high = boxes(study, sweep, shrink, number + 1)[-1].get(name, (0.0, 1.0))
            return low + at * (high - low)

        return dial_by_dial(rule)

    def because(self, finished: int) -> str:
        number = finished // self.sweep
        if not number:
            return "of the first sweep, over the whole space"
        return f"of sweep {number + 1}: {self.shrink**number:.2g} of each range, around the best of {finished} trials"
