"""Ensemble selection: from a library of answers, a small multiset whose mean scores best on the rows that are looked at.

    begin with the k best, k as the score of their mean says;  then again and again add the one whose mean with the others scores best,
    an answer that is in already too, so that weights grow;  keep the best point of the way

The more a library holds, the easier it is to fit the rows by chance. The paper's three guards are taken: selection with replacement, the
sorted beginning, and bagging: this is done for many random halves of the library, and their multisets are added. Only the `most`
heaviest stay, since each costs its time when the ensemble is used.

Source: Caruana, Niculescu-Mizil, Crew & Ksikes, ICML 2004, sections 2.2 to 2.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Score = Callable[[Floats], tuple[float, ...]]
"""How good answers are, larger is better; what comes later in the tuple tells ties apart."""

STEPS = 12  # additions to a bag, at most
BAGS = 10
HALF = 0.5  # of the library, in each bag
FEWEST = 4  # in a bag, where there are so many


def weights(answers: Sequence[Floats], score: Score, most: int, seed: int = 0) -> Floats:
    """The share [M] of each of the answers; most of them are 0. answers: [N, ...] each, of the same rows.

    Returns one share of 1 where nothing improves on the best alone. Cost: about BAGS * STEPS * M / 2 scores.
    """
    size = len(answers)
    alone = [score(one) for one in answers]
    order = sorted(range(size), key=lambda j: (tuple(-part for part in alone[j]), j))
    counts = np.zeros(size)
    if size <= FEWEST:
        counts += _selected(answers, score, order)
    else:
        dice, wide = np.random.default_rng(seed), max(FEWEST, math.ceil(HALF * size))
        for _ in range(BAGS):
            bag = set(dice.choice(size, wide, replace=False).tolist())
            chosen = _selected(answers, score, [j for j in order if j in bag])
            counts += chosen / chosen.sum()  # each bag has one voice, however long its way
    heaviest = sorted(range(size), key=lambda j: (-counts[j], order.index(j)))
    counts[heaviest[most:]] = 0
    return counts / counts.sum()


def calls(size: int) -> int:
    """How many scores `weights` takes for so many answers, at most."""
    wide = size if size <= FEWEST else max(FEWEST, math.ceil(HALF * size))
    return size + (1 if size <= FEWEST else BAGS) * wide * (STEPS + 1)


def _selected(answers: Sequence[Floats], score: Score, order: Sequence[int]) -> Floats:
    """How often each is in, of those in `order`, the best first."""
    counts, best = np.zeros(len(answers)), np.zeros(len(answers))
    total, top = np.zeros_like(answers[order[0]]), (-math.inf,)
    for k, j in enumerate(order, 1):  # the sorted beginning
        total = total + answers[j]
        counts[j] += 1
        if (found := score(total / k)) > top:
            top, best = found, counts.copy()
    counts = best.copy()
    total = np.sum([counts[j] * answers[j] for j in order if counts[j]], axis=0)
    for _ in range(STEPS):
        k = counts.sum()
        found, taken = max(((score((total + answers[j]) / (k + 1)), -at) for at, j in enumerate(order)))
        j = order[-taken]
        total, counts[j] = total + answers[j], counts[j] + 1
        if found > top:
            top, best = found, counts.copy()
    return best


def mean(answers: Sequence[Floats], shares: Floats) -> Floats:
    """The weighted mean of the answers."""
    return np.sum([share * one for share, one in zip(shares, answers, strict=True) if share], axis=0)


__all__ = ["calls", "mean", "weights"]
