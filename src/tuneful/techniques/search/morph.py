"""Evolution with network morphisms: a child begins as a grown copy of a good network, with its weights.

Of the trials that have trained, the best `share` may be parents. A child is wider or deeper by one dial (the next value of a choice, or up to
twice the number), has its parent's other dials, the numbers among them moved a little, and begins as the function that its parent has come
to be (`models/morph.py`). Every other proposal is one of regularized evolution, whose weights are drawn, so that the search does not grow
from a few beginnings alone. It wants dials for the width or the depth of the model; without them it is evolution.

Source: Elsken et al. 2017, arXiv:1711.04528 (hill climbing by morphisms); morphisms: Chen et al., ICLR 2016, arXiv:1511.05641.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tuneful.core.chance import key
from tuneful.core.config import Count, Fraction
from tuneful.core.space import Choice, Space
from tuneful.core.task import Objective
from tuneful.core.trial import Trial
from tuneful.techniques.interfaces import Birth, Proposer
from tuneful.techniques.search.evolution import Evolution
from tuneful.techniques.search.pbt import stirred

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

GROWING = ("model.width", "model.depth")


class Morph(Proposer):
    """Half of the trials are grown copies of good ones, which keep their weights."""

    kind: Literal["morph"] = "morph"
    first: Count = 6  # trials before the first child
    share: Fraction = 0.3  # of those that have trained, that may be parents
    stir: Fraction = 0.2  # by which a child's rates differ from its parent's, as a share of them

    source: ClassVar[str] = "Elsken et al. 2017, arXiv:1711.04528"
    cost: ClassVar[str] = "the parent's state once more on the disk, for each child"

    @property
    def evolution(self) -> Evolution:
        """What draws the others."""
        return Evolution(population=max(2, 2 * self.first), sample=max(2, self.first // 2))

    def sampler(self, seed: int) -> BaseSampler:
        return self.evolution.sampler(seed)

    def birth(self, trials: Sequence[Trial], space: Space, objective: Objective, seed: int) -> Birth | None:
        """See `Proposer.birth`."""
        known = [t for t in trials if t.state in ("done", "paused") and t.last and math.isfinite(t.last.value.value)]
        if len(known) < self.first or key(seed, "grow") % 2:
            return None
        sign = -1.0 if objective.direction == "max" else 1.0
        known.sort(key=lambda t: (sign * (t.last.value.value if t.last else math.nan), t.number))
        parents = [(t, steps) for t in known[: max(2, round(self.share * len(known)))] if (steps := _larger(t, space))]
        if not parents:
            return None
        parent, steps = parents[key(seed, "parent") % len(parents)]
        path, value = steps[key(seed, "dial") % len(steps)]
        dials: dict[str, Any] = {**stirred(parent.dials, space, self.stir, key(seed, "stir")), path: value}
        what = f"grown from trial {parent.number}: {path.removeprefix('model.')} {parent.dials[path]} to {value}, its weights kept"
        return Birth(parent.number, dials, what)

    def because(self, finished: int) -> str:
        return self.evolution.because(finished)


def _larger(trial: Trial, space: Space) -> list[tuple[str, int]]:
    """One step of each dial of size: (path, larger value)."""
    found: list[tuple[str, int]] = []
    for dial in space:
        value = trial.dials.get(dial.path)
        if dial.path not in GROWING or not isinstance(value, int):
            continue
        if isinstance(dial.range, Choice):
            larger = sorted(v for v in dial.range.values if isinstance(v, int) and v > value)
            found += [(dial.path, larger[0])] if larger else []
        elif value < dial.range.high:
            more = 2 * value if dial.path == "model.width" else value + 1
            found.append((dial.path, int(min(more, dial.range.high))))
    return found
