"""Dials of any kind on the unit interval, and a sampler that asks a rule for one dial at a time.

A number's place in [0, 1] is where it lies in its range (in its logarithm, for a logarithmic one); whole numbers and steps share the
interval evenly, and so do the values of a choice. Optuna asks for a dial when the dials before it have values, so that a rule that
answers dial by dial serves conditional spaces as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial

INSIDE = 1 - 1e-12  # the last place that is taken of [0, 1)


def count(dial: BaseDistribution) -> int | None:
    """How many values a dial has; None for a continuous one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dial, CategoricalDistribution):
        return len(dial.choices)
    assert isinstance(dial, FloatDistribution | IntDistribution)
    return round((dial.high - dial.low) / dial.step) + 1 if dial.step is not None else 1 if dial.single() else None


def value(dial: BaseDistribution, place: float) -> Any:
    """What a dial is at a place in [0, 1]."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    place = min(max(place, 0.0), INSIDE)
    if isinstance(dial, CategoricalDistribution):
        return dial.choices[int(place * len(dial.choices))]
    assert isinstance(dial, FloatDistribution | IntDistribution)
    low, high = _ends(dial)
    found = math.exp(low + place * (high - low)) if dial.log else low + place * (high - low)
    if dial.step is not None:
        found = dial.low + round((found - dial.low) / dial.step) * dial.step
    found = min(max(found, dial.low), dial.high)
    return int(found) if isinstance(dial, IntDistribution) else float(found)


def place(dial: BaseDistribution, found: Any) -> float:
    """Where a value lies in [0, 1]: the middle of what `value` turns into it. Values outside the range lie at its ends."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dial, CategoricalDistribution):
        return (dial.choices.index(found) + 0.5) / len(dial.choices) if found in dial.choices else 0.5
    assert isinstance(dial, FloatDistribution | IntDistribution)
    low, high = _ends(dial)
    at = math.log(max(found, 1e-300)) if dial.log else float(found)
    return min(max((at - low) / (high - low), 0.0), 1.0) if high > low else 0.5


def _ends(dial: FloatDistribution | IntDistribution) -> tuple[float, float]:
    half = dial.step / 2 if dial.step is not None else 0.0
    low, high = dial.low - half, dial.high + half
    return (math.log(low), math.log(high)) if dial.log else (low, high)


Rule = Callable[["Study", "FrozenTrial", str, "BaseDistribution"], float]
"""Says where in [0, 1] the next dial of a trial lies: the dial of this name, with this range."""


@cache
def _asking() -> Callable[[Rule], BaseSampler]:
    """The class of samplers that ask a rule. It is made once: to make one takes as long as to propose."""
    from optuna.samplers import BaseSampler

    class Sampler(BaseSampler):
        def __init__(self, rule: Rule) -> None:
            self.rule = rule

        def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
            return {}

        def sample_relative(
            self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
        ) -> dict[str, Any]:
            return {name: self.sample_independent(study, trial, name, dial) for name, dial in search_space.items()}

        def sample_independent(
            self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
        ) -> Any:
            return value(param_distribution, self.rule(study, trial, param_name, param_distribution))

    return Sampler


def dial_by_dial(rule: Rule) -> BaseSampler:
    """An Optuna sampler that asks a rule for one dial at a time."""
    return _asking()(rule)


def order(study: Study, trial: FrozenTrial, name: str) -> int:
    """The number of a dial, from 0 on, in the order in which the study met them."""
    names: dict[str, None] = {}
    for one in (*study.get_trials(deepcopy=False), trial):
        names |= dict.fromkeys(one.params)
    names.setdefault(name)
    return list(names).index(name)


def columns(dials: Mapping[str, BaseDistribution], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places [n, dials] as numbers between which distance means something: a choice of more than two is one column a value."""
    out: list[NDArray[np.float64]] = []
    for number, dial in enumerate(dials.values()):
        many = choices(dial)
        if many <= 2:
            out.append(places[:, number, None])
            continue
        chosen = np.minimum((places[:, number] * many).astype(int), many - 1)
        out.append(np.eye(many)[chosen] / math.sqrt(2))
    return np.concatenate(out, axis=1)


def choices(dial: BaseDistribution) -> int:
    """How many values a choice has; 1 for a number."""
    from optuna.distributions import CategoricalDistribution

    return len(dial.choices) if isinstance(dial, CategoricalDistribution) else 1
