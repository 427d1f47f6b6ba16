"""What a step may cost, and the test that says whether it cost more: a step is kept only when it is shown not to.

    kept  <=>  for every metric:  the upper end of the 95 % interval of the loss (original - changed)  <=  its margin

The two answer the same examples of valid, so the interval is that of a paired difference (`judge.compare`). A loss that is small
but uncertain is refused as one that is large: this is a test of non-inferiority, not of difference.

Shares of right answers get Tango's score interval: with few differing answers the usual ones are too narrow, and a loss of the
whole margin would be kept in 5 to 7 of 100 studies instead of 2.5 (LOG.md). Other metrics: the paired interval of `judge`.

Sources: Piaggio et al., JAMA 308, 2012 (reporting of non-inferiority); Tango, Statistics in Medicine 17, 1998.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuneful.core.config import nearest
from tuneful.core.errors import RecipeError
from tuneful.core.measure import Measure, normal_quantile
from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.goals import goal
from tuneful.pipeline.judge import METRICS, Floats
from tuneful.pipeline.metrics import EXACT, right

SHARE, RELATIVE = 0.005, 0.01  # what may be lost when nobody says: points of a share, or of another metric's value
SPARE = 1.5  # and at least so many times what equal answers leave open
_HINT = 'such as --keep "accuracy-0.5%", or several with commas between them'


@dataclass(frozen=True)
class Limit:
    """At most so much of a metric may be lost, in its own unit; said: as the user wrote it."""

    metric: str
    most: float
    said: str


@dataclass(frozen=True)
class Loss:
    """What a step cost of one metric. difference: changed - original, signed so that + is better."""

    limit: Limit
    difference: Measure

    @property
    def kept(self) -> bool:
        """Is it shown to be within the margin?"""
        return self.difference.low >= -self.limit.most

    def __str__(self) -> str:
        d = self.difference
        within = "within" if self.kept else "not shown to be within"
        sign = " (+ is better)" if METRICS[self.limit.metric].direction == "min" else ""
        return f"{self.limit.metric} {d.value:+.4g} [{d.low:+.4g}, {d.high:+.4g}]{sign}, {within} {-self.limit.most:+.3g}"

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "metric": self.limit.metric,
            "most": self.limit.most,
            "difference": self.difference.as_data(),
            "kept": self.kept,
        }


@dataclass(frozen=True)
class Keeper:
    """All limits together."""

    limits: tuple[Limit, ...]

    def losses(self, task: Task, changed: Floats, original: Floats) -> tuple[Loss, ...]:
        """What the changed answers lose against the original ones on valid."""
        return losses(self.limits, changed, original, task.valid.y, goal(task).block(task))


def losses(limits: Sequence[Limit], changed: Floats, original: Floats, y: np.ndarray, block: int = 1) -> tuple[Loss, ...]:
    """Paired differences on the same examples, metric by metric."""
    if not np.isfinite(changed).all():
        lost = Measure(-math.inf, -math.inf, -math.inf, len(y), how="the answers are not finite")
        return tuple(Loss(limit, lost) for limit in limits)
    return tuple(Loss(one, _difference(one.metric, changed, original, y, block)) for one in limits)


def _difference(metric: str, changed: Floats, original: Floats, y: np.ndarray, block: int) -> Measure:
    if metric not in EXACT:
        return judge.compare(metric, changed, original, y, block=block).difference
    new, old = right(changed, y), right(original, y)
    lost, won, n = int(np.sum(old & ~new)), int(np.sum(new & ~old)), len(y)
    low, high = tango(lost, won, n)
    return Measure((won - lost) / n, -high, -low, n, how="Tango's score interval 95 %, paired")


def tango(lost: int, won: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The score interval of (lost - won) / n, of n pairs of which so many were lost and won: all D for which
    |lost - won - n D| <= z sqrt(n (2 q + D (1 - D))), q the likeliest share of wins if D were the difference.

    >>> tuple(round(one, 4) for one in tango(0, 0, 359))
    (-0.0106, 0.0106)
    """
    z = normal_quantile(level)

    def far(d: float) -> float:
        b = -lost - won + (2 * n - lost + won) * d
        q = (math.sqrt(max(0.0, b * b + 8 * n * won * d * (1 - d))) - b) / (4 * n)
        variance = n * (2 * q + d * (1 - d))
        return (lost - won - n * d) / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, lost - won - n * d)

    def end(lost_side: bool) -> float:
        near, away = (lost - won) / n, 1.0 if lost_side else -1.0
        for _ in range(60):
            middle = (near + away) / 2
            inside = far(middle) >= -z if lost_side else far(middle) <= z
            near, away = (middle, away) if inside else (near, middle)
        return near

    return end(False), end(True)


def keeper(task: Task, original: Floats, asked: str | None = None) -> tuple[Keeper, str]:
    """The limits that the user asked for, or our own, and a sentence on our choice ("" where the user chose).

    asked: "accuracy-0.5%", "accuracy-0.5%, log_loss+2%"; per cent are points of a share, and parts of the original's value of
    any other metric. Raises RecipeError for a metric that is unknown or does not serve, and for a margin so narrow that valid could
    not show it even for equal answers.
    """
    if asked is None:
        metric = task.objective.metric
        open_ = _open(task, metric, original)
        usual = max(task.objective.margin, _scaled(metric, original, task, SHARE if _share(metric) else RELATIVE))
        most = max(usual, SPARE * open_)
        why = f", since {len(task.valid)} validation examples cannot tell less" if most > usual else ""
        limit = Limit(metric, most, f"{metric}{_sign(metric)}{most:.3g}")
        return Keeper((limit,)), f"at most {most:.3g} of {metric} may be lost{why}; --keep says otherwise"
    limits = tuple(_limit(task, original, part.strip()) for part in asked.split(",") if part.strip())
    if not limits:
        raise RecipeError(f'--keep is "{asked}"; it must name a metric and what may be lost of it', _HINT)
    return Keeper(limits), ""


def _limit(task: Task, original: Floats, part: str) -> Limit:
    match = re.fullmatch(r"([a-z_0-9]+?)\s*([+-])\s*(\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%?)", part)
    if match is None:
        raise RecipeError(f'--keep has "{part}"; it must be a metric, a sign and an amount', _HINT)
    metric, sign, amount, percent = match.groups()
    known = [name for name, its in METRICS.items() if task.kind in its.kinds]
    if metric not in known:
        guess = nearest(metric, known)
        raise RecipeError(f"--keep names {metric}, which is no metric of a {task.kind} task"
                          f"{f'; did you mean {guess}?' if guess else ''}", f"it has {', '.join(known)}")  # fmt: skip
    if sign != _sign(metric):
        better = "larger" if METRICS[metric].direction == "max" else "smaller"
        raise RecipeError(f'--keep has "{part}"; {metric} is better when it is {better}, so that what may be lost is written '
                          f"{metric}{_sign(metric)}{amount}{percent}")  # fmt: skip
    most = float(amount) / (100 if percent else 1)
    most = _scaled(metric, original, task, most) if percent else most
    open_ = _open(task, metric, original)
    if most < open_:
        least = f"{100 * SPARE * open_:.2g}%" if _share(metric) else f"{SPARE * open_:.2g}"
        raise RecipeError(
            f"--keep {part} cannot be shown: even equal answers on {len(task.valid)} validation examples leave a loss of "
            f"{open_:.2g} of {metric} open (95 %)",
            f"write {metric}{_sign(metric)}{least}, or give the run more validation data (valid=0.4)",
        )
    return Limit(metric, most, part)


def _sign(metric: str) -> str:
    return "-" if METRICS[metric].direction == "max" else "+"


def _share(metric: str) -> bool:
    return METRICS[metric].high == 1.0


def _scaled(metric: str, original: Floats, task: Task, part: float) -> float:
    return part if _share(metric) else part * abs(judge.score(metric, original, task.valid.y))


def _open(task: Task, metric: str, original: Floats) -> float:
    """What loss equal answers leave open."""
    return max(0.0, -_difference(metric, original, original, task.valid.y, goal(task).block(task)).low)


def told(losses: Sequence[Loss]) -> str:
    """The losses in words."""
    return "; ".join(str(one) for one in losses)


def data(losses: Sequence[Loss]) -> list[Mapping[str, Any]]:
    """The losses as plain data."""
    return [one.as_data() for one in losses]


__all__ = ["Keeper", "Limit", "Loss", "data", "keeper", "losses", "told"]
