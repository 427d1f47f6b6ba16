"""Is what is chosen on valid better than the best single network, on examples that did not choose it?

Whatever is selected by scores on some examples looks too good on these. So valid is parted in five; on each fifth answers what was chosen
on the other four, the single network likewise (among the runs of the recipe that was confirmed), and both sets of answers meet in a paired test. The one that
is shipped in the end is chosen on all of valid.

Source: Stone, Journal of the Royal Statistical Society B 36 (1974), 111-147 (cross-validatory choice and assessment).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuneful.core.measure import PairedTest
from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.goals import goal
from tuneful.pipeline.joining.greedy import Floats
from tuneful.pipeline.joining.scoring import finer_of

Rows = NDArray[np.int64]
Choosing = Callable[[Rows], Floats]
"""Answers to all of valid, by what was chosen on these rows of it."""

FOLDS = 5
LEVEL = 0.05


@dataclass(frozen=True)
class Test:
    """test: by the task's metric; finer: by a proper score of the same answers, where the metric counts right and wrong ones;
    better: is the joined one to be taken?"""

    test: PairedTest
    finer: PairedTest | None
    better: bool


def apart(task: Task, choose: Choosing) -> Floats:
    """Answers to valid, each by what was chosen without its fifth."""
    n, block = len(task.valid), goal(task).block(task)
    order = np.arange(n) if block > 1 else np.random.default_rng(0).permutation(n)
    found: Floats | None = None
    for fold in np.array_split(order, FOLDS):
        answers = choose(np.setdiff1d(order, fold))
        found = np.empty_like(answers) if found is None else found
        found[fold] = answers[fold]
    assert found is not None
    return found


def tested(task: Task, joined: Floats, single: Floats, tried: int) -> Test:
    """Both as `apart` gives them. tried: how many ways of joining are compared with the single one, as each may win by chance."""
    objective, y, block = task.objective, task.valid.y, goal(task).block(task)
    test = judge.compare(objective.metric, joined, single, y, block=block)
    level = LEVEL / tried
    better = test.difference.value > objective.margin and test.p < level
    finer = None
    if (name := finer_of(task)) is not None:
        finer = judge.compare(name, joined, single, y, block=block)
        by_it = objective.margin == 0 and test.difference.value >= 0 and finer.difference.value > 0 and finer.p < level
        better = better or by_it  # equal shares of right answers are not equal answers
    return Test(test, finer, bool(better))


__all__ = ["FOLDS", "Test", "apart", "tested"]
