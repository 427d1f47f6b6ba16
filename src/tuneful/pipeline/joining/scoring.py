"""What members are chosen by: the task's metric, told apart by a proper score where it counts right and wrong only.

Hundreds of means are scored, so the area under the curve of two classes is taken from ranks alone, and where a metric costs much
(many classes in many rows) the loss on valid stands for it.
"""

from __future__ import annotations

import math

import numpy as np

from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.goals import goal
from tuneful.pipeline.joining.greedy import Floats, Score
from tuneful.pipeline.judge import METRICS, Array
from tuneful.pipeline.metrics import AREAS, COUNTED

FINER = "brier"
DEAR = 100_000  # probabilities from which on counting metrics and areas are too dear


def by(task: Task, y: Array) -> tuple[str, Score]:
    """The name of what is scored, and the score of answers to these rows."""
    metric = task.objective.metric
    if metric in (*COUNTED, *AREAS) and y.size * max(1, len(task.labels)) > DEAR and not _two(metric, y, task):
        metric = goal(task).watch
    if _two(metric, y, task):
        return metric, lambda p: (_area(p[:, 1], y == 1),)
    sign = 1.0 if METRICS[metric].direction == "max" else -1.0
    finer = finer_of(task) if metric == task.objective.metric else None

    def score(p: Floats) -> tuple[float, ...]:
        first = sign * judge.score(metric, p, y)
        first = first if math.isfinite(first) else -math.inf
        return (first,) if finer is None else (first, -judge.score(finer, p, y))

    return metric, score


def finer_of(task: Task) -> str | None:
    """A proper score of the same answers, smaller is better, where the metric counts right and wrong ones."""
    return FINER if METRICS[task.objective.metric].needs == "classes" and task.kind in METRICS[FINER].kinds else None


def _two(metric: str, y: Array, task: Task) -> bool:
    return metric == "auroc" and y.ndim == 1 and len(task.labels) == 2


def _area(p: Floats, mine: Array) -> float:
    """The chance that one of mine ranks above another (Mann & Whitney); ties count half."""
    n = int(mine.sum())
    if n in (0, len(mine)):
        return -math.inf
    ordered = np.sort(p)
    ranks = (np.searchsorted(ordered, p[mine], "left") + np.searchsorted(ordered, p[mine], "right") + 1) / 2
    return float((ranks.sum() - n * (n + 1) / 2) / (n * (len(mine) - n)))


__all__ = ["by", "finer_of"]
