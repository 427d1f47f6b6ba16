"""Which of a few retested recipes is the best, and how sure that is: their answers to the same examples under the same seeds.

With x_ks the score of candidate k under seed s, two kinds of noise stand between a mean over seeds and the truth:

    seeds      x_ks = m_k + t_s + e_ks: what a seed does to all cancels, var(e) comes from the residuals of all candidates together
               ((K - 1)(S - 1) degrees of freedom), so that three seeds are enough to say something
    examples   C, the covariance of the means when groups of examples are left out (a jackknife), since all answered the same ones

The chance of being best is the share of draws m + sqrt(var(e) f / chi2_f / S) z + C^(1/2) z' in which a candidate leads: a
parametric bootstrap over both, because three seeds resampled with replacement would look two thirds as noisy as they are.

Those that tie are told apart by a finer score of the same answers where there is one (the Brier score, where classes are only counted right
or wrong), else by their means. One that is a fifth smaller is taken instead where its mean is not worse by more than the user's margin: to
take the smaller one within a standard error, as is often done, cost as much as retesting had saved (LOG.md). A mean of the best of K on the
same examples is too good: what the draws say of it is taken off.

Sources: Fisher, Statistical Methods for Research Workers, 1925 (randomized blocks); Tukey, Annals of Mathematical Statistics 1958
(jackknife); Gneiting & Raftery, JASA 2007 (proper scores); Tsamardinos et al.,
Machine Learning 107 (2018), 1895-1922 (the optimism of a selection by resampling it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuneful.core.measure import Measure, normal_quantile, t_quantile, undefined, wilson
from tuneful.pipeline.judge import METRICS, Floats
from tuneful.pipeline.standing import LEVEL, Scores

DRAWS = 20_000
SMALLER = 0.8  # of the leader's weights: what counts as cheaper


@dataclass(frozen=True)
class Odds:
    """Of each candidate, in the order given. quality: the mean over seeds and what another seed and other examples may make of it;
    chance: to be the best; behind: leader minus it, + for the leader's side; tied: may it be the best? leader: the best mean;
    chosen: what is taken, and why; luck: what the choice among them adds to the chosen one's mean on these examples, which its
    quality does without; noise: the standard deviation of one run, by its seed alone; freedom: of that."""

    quality: tuple[Measure, ...]
    chance: tuple[float, ...]
    behind: tuple[Measure, ...]
    tied: tuple[bool, ...]
    leader: int
    chosen: int
    because: str
    luck: float
    noise: float
    freedom: float


def odds(
    metric: str, scores: Sequence[Scores], weights: Sequence[int], n: int, unit: str = "", *, finer: Sequence[float] = (),
    margin: float = 0.0,
) -> Odds:  # fmt: skip
    """scores: of two candidates or more, over the same two seeds or more; weights: how large each network is; n: examples; finer: of each
    a score that tells more, smaller is better; margin: what the user would not notice of the metric."""
    sign = 1.0 if METRICS[metric].direction == "max" else -1.0
    x = sign * np.array([one.seeds for one in scores])  # [K, S], larger is better from here on
    left = sign * np.array([one.left for one in scores])  # [K, G]
    left = left[:, np.isfinite(left).all(axis=0)]
    k, s = x.shape
    mean = x.mean(axis=1)
    apart = x - mean[:, None]
    noise = float((apart**2).sum() / (k * (s - 1)))  # of one run
    rest = apart - apart.mean(axis=0)
    free = (k - 1) * (s - 1)
    residual = float((rest**2).sum() / free)
    examples = _jackknife(left, 1 / n**2 if (METRICS[metric].low, METRICS[metric].high) == (0.0, 1.0) else 0.0)
    leader = int(mean.argmax())
    draws = _drawn(mean, residual / s, free, examples)
    first = draws.argmax(axis=1)
    chance = tuple(float(one) for one in np.bincount(first, minlength=k) / DRAWS)
    behind = tuple(_behind(j, leader, mean, residual / s, free, examples, n, unit) for j in range(k))
    tied = tuple(j == leader or not one.low > 0 for j, one in enumerate(behind))
    chosen, because = _taken(leader, mean, weights, tied, finer, margin)
    luck = max(0.0, float((draws[np.arange(DRAWS), first] - mean[first]).mean())) if chosen == leader else 0.0
    quality = tuple(
        _quality(metric, sign * (mean[j] - (luck if j == chosen else 0.0)), noise * (1 + 1 / s), k * (s - 1), float(examples[j, j]), n, unit)
        for j in range(k)
    )  # fmt: skip
    return Odds(quality, chance, behind, tied, leader, chosen, because, sign * luck, math.sqrt(noise), float(k * (s - 1)))


def against(metric: str, scores: Sequence[Scores], of: int, n: int, unit: str = "") -> tuple[Measure, ...]:
    """How much better candidate `of` is than each, in the order given; paired over seeds and examples, + is better. The noise of a seed
    comes from all candidates together."""
    sign = 1.0 if METRICS[metric].direction == "max" else -1.0
    x, left = sign * np.array([one.seeds for one in scores]), sign * np.array([one.left for one in scores])
    left = left[:, np.isfinite(left).all(axis=0)]
    k, s = x.shape
    rest = x - x.mean(axis=1)[:, None]
    rest = rest - rest.mean(axis=0)
    free = (k - 1) * (s - 1)
    examples = _jackknife(left, 1 / n**2 if (METRICS[metric].low, METRICS[metric].high) == (0.0, 1.0) else 0.0)
    residual = float((rest**2).sum() / free)
    return tuple(_behind(j, of, x.mean(axis=1), residual / s, free, examples, n, unit) for j in range(k))


def _jackknife(left: Floats, least: float) -> Floats:
    """The covariance [K, K] of means over the examples, from the means without each group of them."""
    g = left.shape[1]
    if g < 2:
        return np.full((len(left), len(left)), math.nan)
    off = left - left.mean(axis=1, keepdims=True)
    found = (g - 1) / g * (off @ off.T)
    return found + np.diag(np.maximum(least - np.diag(found), 0.0))


def _drawn(mean: Floats, seeds: float, free: int, examples: Floats) -> Floats:
    """Means [DRAWS, K] that the same candidates might have had; the same numbers give the same draws."""
    rng, k = np.random.default_rng(0), len(mean)
    spread = np.sqrt(seeds * free / rng.chisquare(free, size=(DRAWS, 1)))
    values, vectors = np.linalg.eigh(np.nan_to_num(examples))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    ties = 1e-12 * rng.standard_normal((DRAWS, k))  # candidates that are alike to the last answer share the chance
    return mean + ties + spread * rng.standard_normal((DRAWS, k)) + rng.standard_normal((DRAWS, k)) @ root.T


def _behind(j: int, leader: int, mean: Floats, seeds: float, free: int, examples: Floats, n: int, unit: str) -> Measure:
    gap = float(mean[leader] - mean[j])
    if j == leader:
        return Measure(0.0, 0.0, 0.0, n, unit, "the leader itself")
    first, second = 2 * seeds, max(0.0, float(examples[leader, leader] + examples[j, j] - 2 * examples[leader, j]))
    if not math.isfinite(second):
        return undefined(n, "there are too few examples", unit, gap)
    half = _half(first, free, second)
    return Measure(gap, gap - half, gap + half, n, unit, "Student's t 95 % over seeds and valid examples, paired")


def _half(first: float, free: float, second: float) -> float:
    """Half the width of an interval; the examples' variance counts as known, as there are many groups of them."""
    total = first + second
    if total <= 0:
        return 0.0
    freedom = total**2 / (first**2 / free) if first > 0 else math.inf
    return t_quantile(min(freedom, 1e6), LEVEL) * math.sqrt(total)


def _quality(metric: str, value: float, seeds: float, free: int, examples: float, n: int, unit: str) -> Measure:
    bounds = METRICS[metric]
    if not math.isfinite(examples):
        return undefined(n, "there are too few examples", unit, float(value))
    half = _half(seeds, free, examples)
    value = min(max(float(value), bounds.low), bounds.high)
    if (bounds.low, bounds.high) == (0.0, 1.0):  # Wilson's form: near 0 and 1 an interval is not even
        spread = value * (1 - value)
        worth = min(float(n), spread * (normal_quantile(LEVEL) / half) ** 2) if half > 0 and spread > 0 else float(n)
        share = wilson(value * worth, worth)
        low, high = min(share.low, value), max(share.high, value)
        return Measure(value, low, high, n, unit, "Wilson 95 % over another seed and other examples")
    low, high = max(bounds.low, value - half), min(bounds.high, value + half)
    return Measure(value, low, high, n, unit, "Student's t 95 % over another seed and other examples")


def _taken(
    leader: int, mean: Floats, weights: Sequence[int], tied: Sequence[bool], finer: Sequence[float], margin: float
) -> tuple[int, str]:
    """Which is taken, and why."""
    among = [j for j in range(len(mean)) if tied[j]]
    first = min(among, key=lambda j: (finer[j], -mean[j], j != leader)) if finer else leader
    noticed = finer if finer and margin == 0 else [0.0] * len(mean)  # equal shares of right answers are not equal answers
    near = [
        j
        for j in among
        if weights[j] <= SMALLER * weights[first]
        and mean[first] - mean[j] <= max(margin, 1e-12)
        and noticed[j] <= noticed[first]
    ]
    if near:
        taken = min(near, key=lambda j: (weights[j], -mean[j]))
        share = f"{weights[taken]:,} weights against {weights[first]:,}"
        return taken, f"it ties with trials that are larger, and its mean is not worse by more than {margin:g}: {share}"
    others = len(among) - 1
    also = f"; {others} of the others {'ties' if others == 1 else 'tie'} with it" if others else ""
    if first != leader:
        return first, f"it ties with the best mean, and its probabilities are the best of those that tie{also}"
    return leader, f"it has the best mean{also}"
