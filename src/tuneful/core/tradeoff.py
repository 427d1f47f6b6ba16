"""Several objectives: what else than the metric counts, which limits hold, and who is dominated by nobody.

    --objectives accuracy,latency,size --where "latency<5ms" --where "size<2MB"

What a network costs does not change while it trains: it is measured once, before its first step, and kept with its trial. Less of it is
better. A network that breaks a limit does not begin to train.

Source: non-dominated sorting and crowding: Deb et al., IEEE TEC 6 (2002), 182-197; at the rungs of successive halving: Schmucker et al., 2021,
arXiv:2106.12639.  Samplers that know one value see a mixture of all, with weights drawn for each proposal: Knowles, IEEE TEC 10 (2006),
50-66 (ParEGO).
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tuneful.core.errors import Problem, RecipeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from optuna.trial import FrozenTrial

    from tuneful.core.task import Objective
    from tuneful.core.trial import Trial

UNITS: dict[str, dict[str, float]] = {
    "latency": {"ms": 1.0, "s": 1e3, "us": 1e-3},  # of one example, in the first of these units, as the others
    "size": {"MB": 1.0, "kB": 1e-3, "GB": 1e3, "B": 1e-6},  # of the weights
    "energy": {"mJ": 1.0, "J": 1e3},  # of one example
}
LIMIT = re.compile(r"\s*([a-z_]+)\s*<=?\s*([0-9.eE+-]+)\s*([A-Za-z]+)\s*")
SMALL = 0.05  # weight of the sum beside the largest part, as in ParEGO


@dataclass(frozen=True)
class Limit:
    """`name` has to stay below `most`, in the first unit of its kind."""

    name: str
    most: float

    @staticmethod
    def parse(text: str) -> Limit:
        """Of "latency<5ms". Raises RecipeError for anything else."""
        found = LIMIT.fullmatch(text)
        name = found[1] if found else ""
        if found is None or name not in UNITS or found[3] not in UNITS[name]:
            units = "; ".join(f"{one} in {' or '.join(units)}" for one, units in UNITS.items())
            raise RecipeError(
                [Problem("search.where", f'where is "{text}"; it must be a limit such as "latency<5ms" ({units})')],
                "of the metric itself, the best is looked for; only what a network costs can be limited",
            )
        return Limit(name, float(found[2]) * UNITS[name][found[3]])

    def broken(self, costs: Mapping[str, Any]) -> str:
        """How a network with these costs breaks it, in words; "" where it does not."""
        value, unit = float(costs[self.name]["value"]), next(iter(UNITS[self.name]))
        if value < self.most:
            return ""
        return f"its {self.name} is {value:.3g} {unit}, and less than {self.most:.3g} {unit} was asked for"


def parts(words: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """(metric, costs) of the names of objectives. Raises RecipeError where they are not one metric at most, and costs."""
    costs = tuple(name for name in words if name in UNITS)
    metrics = [name for name in words if name not in UNITS]
    if len(metrics) > 1 or len(set(words)) < len(words) or not costs:
        raise RecipeError(
            [
                Problem(
                    "search.objectives",
                    f"objectives are {', '.join(words)}; they must be one metric and some of {', '.join(UNITS)}, each once",
                )
            ],
            'such as "accuracy,latency"; for the metric alone metric=accuracy does',
        )
    return (metrics[0] if metrics else None), costs


def costs_of(trial: Trial, names: Sequence[str]) -> list[float]:
    """What a trial's network costs; infinite where it was not measured."""
    told: Mapping[str, Any] = trial.tags.get("costs", {})
    return [float(told[name]["value"]) if name in told else math.inf for name in names]


def sorted_by_dominance(values: NDArray[np.float64]) -> list[int]:
    """Rows in their order: those that no other dominates first, and of one front those in sparser places. values: [n, objectives], less is
    better; what is no number is worst."""
    import numpy as np

    found = np.nan_to_num(values, nan=np.inf)
    no_worse = (found[:, None] <= found[None, :]).all(2)
    beats = no_worse & (found[:, None] < found[None, :]).any(2)
    left, order = np.ones(len(found), bool), list[int]()
    while left.any():
        first = left & ~(beats & left[:, None]).any(0)
        rows = np.flatnonzero(first)
        sparse = crowding(found[rows])
        order += [int(rows[k]) for k in sorted(range(len(rows)), key=lambda k: (-sparse[k], int(rows[k])))]
        left &= ~first
    return order


def crowding(values: NDArray[np.float64]) -> list[float]:
    """How far apart the neighbours of each row of a front are; infinite at the ends of each objective."""
    import numpy as np

    far = np.zeros(len(values))
    for column in np.where(np.isfinite(values), values, np.nan).T:
        order = np.argsort(column, kind="stable")
        span = np.nanmax(column) - np.nanmin(column) if np.isfinite(column).any() else 0.0
        far[order[[0, -1]]] = np.inf
        if span > 0 and len(order) > 2:
            far[order[1:-1]] += np.nan_to_num(column[order[2:]] - column[order[:-2]]) / span
    return far.tolist()


def front(values: NDArray[np.float64]) -> list[int]:
    """The rows that no other dominates, of those whose values are all numbers. Less is better."""
    import numpy as np

    rows = np.flatnonzero(np.isfinite(values).all(1))
    found = values[rows]
    beaten = ((found[:, None] <= found[None, :]).all(2) & (found[:, None] < found[None, :]).any(2)).any(0)
    return [int(row) for row in rows[~beaten]]


def mixed(rows: Sequence[FrozenTrial], trials: Mapping[int, Trial], objective: Objective, seed: int) -> list[FrozenTrial]:
    """Rows as a sampler of one objective sees them: each value of a curve becomes a mixture of all objectives, with weights drawn by the seed.

    Each objective is brought to [0, 1] by what trials have had of it (costs by their logarithm); the mixture is the largest weighted part
    and a little of the sum, in the direction of the metric.
    """
    import numpy as np

    from tuneful.core.chance import key

    known = {
        n: t for n, t in trials.items() if t.last is not None and t.state != "failed" and math.isfinite(t.last.value.value)
    }
    if len(known) < 2:
        return list(rows)
    sign = -1.0 if objective.direction == "max" else 1.0
    weights = np.random.default_rng(key(seed, "weights")).dirichlet(np.ones(1 + len(objective.also)))
    worth = np.array([sign * t.last.value.value for t in known.values() if t.last])
    low, high = worth.min(), np.quantile(worth, 0.9)
    logs = {n: np.log(np.maximum(costs_of(t, objective.also), 1e-12)) for n, t in trials.items() if t.curve}
    all_of = np.array([logs[n] for n in known])
    least, span = all_of.min(0), np.maximum(np.ptp(all_of, axis=0), 1e-12)
    out: list[FrozenTrial] = []
    for row in rows:
        if row.number not in logs:
            out.append(row)
            continue
        cost = np.nan_to_num((logs[row.number] - least) / span, nan=1.0, posinf=1.0)

        def mix(value: float, cost: NDArray[np.float64] = cost) -> float:
            if not math.isfinite(value):
                return value
            part = min(max((sign * value - low) / max(high - low, 1e-12), 0.0), 1.0)
            all_parts = weights * np.array([part, *cost])
            return sign * float(all_parts.max() + SMALL * all_parts.sum())

        shown = copy.copy(row)
        shown.intermediate_values = {step: mix(value) for step, value in row.intermediate_values.items()}
        shown.values = [mix(float(row.values[0]))] if row.values else row.values
        out.append(shown)
    return out
