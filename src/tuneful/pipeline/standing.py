"""Which of several methods may be the best, from their answers to the same test examples under the same seeds.

Two kinds of chance stand between two methods: of the training (the seed) and of the examples that were drawn. With D_s the
difference at seed s and D_-g the mean difference without the examples of group g,

    variance = var(D_s) / S  +  (G - 1) / G * sum_g (D_-g - mean)^2        seeds, and a grouped jackknife of the examples
    freedom  = variance^2 / (first^2 / (S - 1) + second^2 / (G - 1))

which counts what both have in common twice, to the safe side. An interval is Student's t.

A method is behind when some other is better at the level 5 % / (K - 1), each of the K - 1 comparisons of a method at this
level. So the best method is called behind with a chance of at most 5 %, however many take part; the others tie.

Sources: Tukey, Annals of Mathematical Statistics 1958 (jackknife); Satterthwaite, Biometrics Bulletin 1946 (freedom); Gupta,
Technometrics 1965 (a subset that holds the best), with Bonferroni's inequality in place of equal variances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuneful.core.measure import Measure, percent, student_tail, t_quantile, undefined, wilson
from tuneful.pipeline import judge
from tuneful.pipeline.judge import METRICS, Array, Floats

GROUPS = 50  # of examples, each left out once
LEVEL = 0.95


@dataclass(frozen=True)
class Scores:
    """What the answers of one method score. seeds [S]: on all examples; left [G]: the mean over the seeds without each group."""

    seeds: Floats
    left: Floats


@dataclass(frozen=True)
class Pair:
    """One method against another. difference: signed so that + is better; p: corrected for the number of comparisons."""

    difference: Measure
    p: float


@dataclass(frozen=True)
class Standing:
    """leader: the best mean; tied: who is not shown to be behind anybody, the leader among them; behind: {who: whom};
    against: {(a, b): a compared with b}; quality: {who: mean over seeds}; correction: how several comparisons are allowed for."""

    leader: str
    tied: tuple[str, ...]
    behind: Mapping[str, str]
    against: Mapping[tuple[str, str], Pair]
    quality: Mapping[str, Measure]
    correction: str


def scored(metric: str, answers: Sequence[Floats], y: Array, block: int = 1) -> Scores:
    """Scores of the answers [S] of one method. block: how many neighbours tell of the same thing, and are left out together."""
    n = len(y)
    count = min(GROUPS, n)
    order = np.arange(n) if block > 1 else np.random.default_rng(0).permutation(n)
    left: list[float] = []
    for group in np.array_split(order, count) if n > 1 else []:
        kept = np.ones(n, dtype=bool)
        kept[group] = False
        left.append(float(np.mean([judge.score(metric, p[kept], y[kept]) for p in answers])))
    return Scores(np.array([judge.score(metric, p, y) for p in answers]), np.array(left))


def stand(metric: str, scores: Mapping[str, Scores], n: int, unit: str = "") -> Standing:
    """Who may be the best. scores: of methods whose every seed gave a number, one at least; n: test examples."""
    sign = 1.0 if METRICS[metric].direction == "max" else -1.0
    leader = max(scores, key=lambda who: sign * float(scores[who].seeds.mean()))
    comparisons = max(1, len(scores) - 1)
    level = 1 - (1 - LEVEL) / comparisons
    least = 1 / n**2 if METRICS[metric].high == 1 and METRICS[metric].low == 0 else 0.0
    against: dict[tuple[str, str], Pair] = {}
    for a in scores:
        for b in scores:
            if a != b:
                found = _mean(sign * (scores[a].seeds - scores[b].seeds), sign * (scores[a].left - scores[b].left), least)
                against[a, b] = _pair(found, level, comparisons, n, unit)
    behind: dict[str, str] = {}
    for who in scores:
        over = [(against[other, who].difference.low, other) for other in scores if other != who]
        if over and max(over)[0] > 0:
            behind[who] = leader if who != leader and against[leader, who].difference.low > 0 else max(over)[1]
    seeds = len(scores[leader].seeds)
    told = f"{comparisons} comparisons" if comparisons > 1 else "one comparison"
    correction = (
        f"paired by seed and by test example; {percent(LEVEL)} for the {told} of each optimizer together (Bonferroni)"
        if seeds > 1
        else "one seed says nothing of the chance of training, so there are no intervals and nothing is told apart"
    )
    quality = {who: _quality(metric, one, least, n, unit) for who, one in scores.items()}
    tied = tuple(sorted((who for who in scores if who not in behind), key=lambda who: -sign * quality[who].value))
    return Standing(leader, tied, behind, against, quality, correction)


def _mean(seeds: Floats, left: Floats, least: float) -> tuple[float, float, float]:
    """(mean, its variance, the freedom of that variance); the variance is NaN for one seed."""
    mean, s = float(seeds.mean()), len(seeds)
    left = left[np.isfinite(left)]
    if s < 2 or len(left) < 2:
        return mean, math.nan, math.nan
    first, g = float(seeds.var(ddof=1)) / s, len(left)
    second = max((g - 1) / g * float(((left - left.mean()) ** 2).sum()), least)
    total = first + second
    if total == 0:
        return mean, 0.0, s - 1.0
    return mean, total, total**2 / (first**2 / (s - 1) + second**2 / (g - 1))


def _pair(found: tuple[float, float, float], level: float, comparisons: int, n: int, unit: str) -> Pair:
    mean, variance, freedom = found
    if not math.isfinite(variance):
        return Pair(undefined(n, "one seed has no interval", unit, mean), math.nan)
    error = math.sqrt(variance)
    half = t_quantile(freedom, level) * error
    p = 1.0 if mean == 0 else 0.0 if error == 0 else 2 * student_tail(freedom, abs(mean) / error)
    how = f"Student's t {percent(round(level, 4))} over seeds and test examples, paired"
    return Pair(Measure(mean, mean - half, mean + half, n, unit, how), min(1.0, comparisons * p))


def _quality(metric: str, scores: Scores, least: float, n: int, unit: str) -> Measure:
    """The mean over the seeds with an interval of its own, at 95 %; Wilson's form for what lies in [0, 1]."""
    mean, variance, freedom = _mean(scores.seeds, scores.left, least)
    if not math.isfinite(variance):
        return undefined(n, "one seed has no interval", unit, mean)
    low, high = METRICS[metric].low, METRICS[metric].high
    if (low, high) == (0.0, 1.0):
        spread = mean * (1 - mean)
        worth = min(float(n), spread / variance) if variance > 0 and spread > 0 else float(n)
        share = wilson(min(max(mean, 0.0), 1.0) * worth, worth)
        return Measure(
            mean, min(share.low, mean), max(share.high, mean), n, unit, "Wilson 95 % over seeds and test examples"
        )
    half = t_quantile(freedom, LEVEL) * math.sqrt(variance)
    return Measure(
        mean, max(low, mean - half), min(high, mean + half), n, unit, "Student's t 95 % over seeds and test examples"
    )


def expected(values: Sequence[float], runs: int, first: float, direction: str) -> list[float]:
    """The best value to be expected after 1, 2, ... runs of a random search whose runs gave `values`, and which began with
    `first`: E max of k draws = sum_i v_(i) ((i/N)^k - ((i-1)/N)^k). Source: Dodge et al., EMNLP 2019, arXiv:1909.03004."""
    sign = 1.0 if direction == "max" else -1.0
    drawn = np.sort(np.maximum(sign * np.asarray(values, dtype=np.float64), sign * first))
    shares = np.arange(len(drawn) + 1) / max(1, len(drawn))
    later = (sign * float((drawn * np.diff(shares**k)).sum()) if len(drawn) else first for k in range(1, runs))
    return [first, *later][: max(runs, 1)]
