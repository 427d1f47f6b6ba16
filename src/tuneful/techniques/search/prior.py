"""What the user believes: lr~1e-3 says that good values lie near 1e-3, and some of the trials are drawn there.

    lr~1e-3                 a range around it, a decade and a half to both sides, and the belief
    lr=1e-5..1e-1~1e-3      a range of your own, and the belief
    optimizer=sgd,adamw~adamw

The first trial stands at what is believed. Of the n-th new trial it is then thrown whether it is drawn from the belief, with a chance of
`SHARE` 10 / (10 + n): a normal density of deviation `SPREAD` of the range around the value, the value itself seven times of ten for a
choice, and evenly for dials of which nothing is believed. All others are the proposer's, so that a wrong belief costs some trials and no more.

Source: Mallik et al., NeurIPS 2023 (PriorBand), arXiv:2306.12370: draws from the belief beside others, fewer as the search goes on. The
numbers are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuneful.core.space import Choice, Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SHARE, FADES = 0.5, 10
SPREAD, CHOSEN = 0.15, 0.7


def is_drawn(space: Space, number: int, seed: int) -> bool:
    """Is the new trial of this number to be drawn from what is believed?"""
    import numpy as np

    from tuneful.core.chance import key

    believed = any(dial.range.near is not None for dial in space)
    return believed and float(np.random.default_rng(key(seed, "belief", number)).random()) < SHARE * FADES / (FADES + number)


def believed(space: Space, seed: int) -> BaseSampler:
    """A sampler that draws near what is believed."""
    import numpy as np
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from tuneful.core.chance import key
    from tuneful.techniques.search.dials import dial_by_dial, place

    near = {dial.path: dial for dial in space if dial.range.near is not None}

    def rule(study: Study, trial: FrozenTrial, name: str, dial: BaseDistribution) -> float:
        dice = np.random.default_rng(key(seed, f"believed {name}", trial.number))
        if name not in near:
            return float(dice.random())
        at = place(dial, near[name].range.near)
        if isinstance(near[name].range, Choice):
            return at if dice.random() < CHOSEN else float(dice.random())
        while True:
            drawn = float(at + SPREAD * dice.normal())
            if 0 <= drawn <= 1:
                return drawn

    return dial_by_dial(rule)
