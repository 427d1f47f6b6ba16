"""AUROC: the chance that a member of a class ranks above a non-member, with each example's share in its error.

Source: DeLong et al., Biometrics 44, 1988; for more than two classes, and for labels, the mean of each against the rest
(Hand & Till 2001 discuss alternatives). Over all labels together ("micro") an example is one independent thing, however
many labels it bears: its influence is the sum of those of its labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tuneful.pipeline.metrics.table import Array, Floats


class Ranked(NamedTuple):
    """value: the area; influence [n]: each example's share in its error, the variance is their sum of squares;
    least, most: bounds on how many independent yes-no answers it is worth, which keep an interval near 0 and 1 honest."""

    value: float
    influence: Floats
    least: float
    most: float


def auroc(name: str, p: Array, y: Array) -> Ranked:
    """Second class's probability against the labels, or the mean over classes (labels) of each against the rest.

    y: class numbers [N], or labels [N, L] of which -1 is left out. Classes without members or without non-members are left
    out; NaN when none is left. Cost: two sorts a class.
    """
    if name == "auroc_micro":
        return _together(p, y)
    n, classes = len(y), p.shape[1]
    which = [1] if classes == 2 and y.ndim == 1 else range(classes)
    parts = [(p[:, c], y == c, y >= 0) if y.ndim == 1 else (p[:, c], y[:, c] == 1, y[:, c] >= 0) for c in which]
    usable = [(q, mine, known) for q, mine, known in parts if 0 < mine.sum() < known.sum()]
    if not usable:
        return Ranked(float("nan"), np.zeros(n), 1, 1)
    influence, total, few = np.zeros(n), 0.0, []
    for q, mine, known in usable:
        others = known & ~mine
        above, below = _placements(q[mine], q[others])
        value = float(above.mean())
        total += value
        influence[mine] += (above - value) * _factor(len(above))
        influence[others] += (below - value) * _factor(len(below))
        few.append(min(len(above), len(below)))
    # The variance of one area is at most A (1 - A) / min(m, n) (Birnbaum & Klose 1957) and rarely below a third of that.
    return Ranked(total / len(usable), influence / len(usable), float(min(few)), float(3 * sum(few)))


def _together(p: Array, y: Array) -> Ranked:
    mine, others = y == 1, y == 0
    if not mine.any() or not others.any():
        return Ranked(float("nan"), np.zeros(len(y)), 1, 1)
    above, below = _placements(p[mine], p[others])
    value = float(above.mean())
    each = np.zeros(y.shape)
    each[mine] = (above - value) * _factor(len(above))
    each[others] = (below - value) * _factor(len(below))
    least = float(min(mine.any(axis=1).sum(), others.any(axis=1).sum()))
    return Ranked(value, each.sum(axis=1), least, float(3 * min(len(above), len(below))))


def _placements(inside: Array, outside: Array) -> tuple[Floats, Floats]:
    """For each member the share of non-members below it; for each non-member the share of members above; ties count half."""
    a, b = np.sort(inside), np.sort(outside)
    above = (np.searchsorted(b, inside, "left") + np.searchsorted(b, inside, "right")) / (2 * len(b))
    below = 1 - (np.searchsorted(a, outside, "left") + np.searchsorted(a, outside, "right")) / (2 * len(a))
    return above, below


def _factor(m: int) -> float:
    return float(1 / np.sqrt(m * max(1, m - 1)))
