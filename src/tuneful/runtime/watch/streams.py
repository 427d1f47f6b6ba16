"""Columns in sequence: an alarm while they come, at a stated rate of false ones for all of them together.

Of K columns each gets a K-th of the rate (Bonferroni); alarms of one column are told with the moment, and the column is watched
on from there. How the stakes are laid follows from the rate: so much an example, or so much a second of the time that goes by.

    betting         any change of a column's law; the rate is held exactly while examples are exchangeable
    adwin           a change of the middle; the rate is a proven bound, and far from being used up
    page_hinkley    a lasting shift of the mean, found soon; the rate is simulated from the reference
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tuneful.core.errors import TunefulError
from tuneful.runtime.watch.adwin import Adwin
from tuneful.runtime.watch.betting import Betting
from tuneful.runtime.watch.columns import Key
from tuneful.runtime.watch.page_hinkley import PageHinkley
from tuneful.runtime.watch.rate import Rate
from tuneful.runtime.watch.samples import Floats

WAYS = ("betting", "adwin", "page_hinkley")


@dataclass(frozen=True)
class Stream:
    """One column's way. alarms: places of the examples at which one was raised; level [N]: of betting, the money on the table (1 is an
    alarm); of others empty; missed: values that were no numbers."""

    key: Key
    alarms: tuple[int, ...]
    level: Floats
    missed: int


def stakes(rate: Rate, times: Floats) -> Floats:
    """The chance of a false alarm that is laid before each example, of all columns together: [N].

    Where the rate names no period, all of it belongs to these examples and is laid evenly. A second in which many come counts once.
    """
    count = len(times)
    if not count:
        return np.zeros(0)
    if rate.examples:
        return np.full(count, rate.chance / rate.examples)
    if not rate.seconds:
        return np.full(count, rate.chance / count)
    passed = np.maximum(np.diff(times, prepend=times[0]), 0.0)
    passed[0] = float(np.median(passed[1:])) if count > 1 else 1.0
    return rate.chance * passed / rate.seconds


def watched(
    before: Mapping[Key, Floats], now: Mapping[Key, Floats], rate: Rate, times: Floats, by: str = "betting", seed: int = 0
) -> list[Stream]:
    """Every column that has both a reference (scores) and scores in sequence [N].

    Raises: TunefulError for a way that there is not.
    """
    if by not in WAYS:
        raise TunefulError(f"there is no way {by!r} of watching in sequence", f"the ways are {', '.join(WAYS)}")
    keys = [key for key in now if key in before and np.isfinite(before[key]).sum() > 1]
    each = stakes(rate, times) / max(1, len(keys))
    found: list[Stream] = []
    for at, key in enumerate(keys):
        known, scores = before[key][np.isfinite(before[key])], now[key]
        missed = int((~np.isfinite(scores)).sum())
        told = {"betting": _betting, "adwin": _adwin, "page_hinkley": _page_hinkley}[by](known, scores, each, seed + at)
        found.append(Stream(key, tuple(told[0]), told[1], missed))
    return found


def _betting(known: Floats, scores: Floats, stake: Floats, seed: int) -> tuple[list[int], Floats]:
    level, alarms = Betting(known, seed).feed(scores, stake)
    return alarms, level


def _adwin(known: Floats, scores: Floats, stake: Floats, seed: int) -> tuple[list[int], Floats]:
    """Scores become their share of the reference below them, which lies in [0, 1]; the window begins with the reference."""
    watch = Adwin(1 / 12)
    order = np.sort(known)

    def share(values: Floats) -> Floats:
        low, high = np.searchsorted(order, values, side="left"), np.searchsorted(order, values, side="right")
        return np.where(np.isfinite(values), (low + high) / 2 / len(order), math.nan)

    for score in np.random.default_rng(seed).permutation(share(known)).tolist():
        watch.step(score, 0.0)
    return [
        at for at, (score, laid) in enumerate(zip(share(scores).tolist(), stake.tolist())) if watch.step(score, laid)
    ], np.zeros(0)


def _page_hinkley(known: Floats, scores: Floats, stake: Floats, seed: int) -> tuple[list[int], Floats]:
    rate = float(stake.sum())
    if not len(scores) or rate <= 0:
        return [], np.zeros(0)
    watch = PageHinkley(known, min(rate, 0.5), len(scores), seed=seed)
    return [at for at, score in enumerate(scores.tolist()) if watch.step(score)], np.zeros(0)


__all__ = ["WAYS", "Stream", "stakes", "watched"]
