"""Betting against "nothing has changed": an alarm that may be looked at after every example, with a stated rate of false ones.

A new score s_t is ranked among all that came before, those of the reference first; ties are broken by chance:

    p_t = (#{i: s_i < s_t} + theta (1 + #{i: s_i = s_t})) / (count + 1),   theta ~ U(0, 1)

While scores are exchangeable, p_1, p_2, ... are independent and uniform, whatever the law of the scores and however few the
reference holds. So every f_k >= 0 with mean 1 over [0, 1] is a fair bet, and

    M_k <- (M_k + w_t) f_k(p_t),     M = mean over k of M_k,     alarm when M >= 1

A new stake w_t is laid before each example, so a change is met by fresh money however long all was quiet. M minus the stakes laid
so far is a martingale, therefore P(false alarm before t) <= w_1 + ... + w_t (Doob): with w_t = a / N the expected number of false
alarms in N examples is at most a. Bets: p^(c-1) c and the same from above (shifts of any size), linear ones (small shifts), and
both of p and of |2p - 1| (a wider or narrower law).

Sources: Vovk, Nouretdinov & Gammerman, ICML 2003 (testing exchangeability online); Shin, Ramdas & Rinaldo, arXiv:2203.03532
(e-detectors of Shiryaev-Roberts form); Doob 1953.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable

import numpy as np

from tuneful.runtime.watch.samples import Floats

POWERS = (0.2, 0.4, 0.6, 0.8)
SLOPES = (0.2, 0.5, 1.0, 1.8)  # e of 1 + e (p - 1/2), at most 2
BETS = 4 * (len(POWERS) + len(SLOPES))
_AT_ONCE = 4096
LEAST = 1e-12  # p is kept off 0, where a power bet would win without bound by rounding alone


def bets(p: float | Floats) -> Floats:
    """What one coin on each bet has become, [BETS], or [N, BETS] of several p; each has mean 1 when p is uniform."""
    told = np.clip(np.asarray(p, dtype=np.float64), LEAST, 1 - LEAST)
    wide = np.abs(2 * told - 1)
    ends = np.maximum(np.stack([told, 1 - told, wide, 1 - wide], axis=-1), LEAST)
    powers = [c * ends ** (c - 1) for c in POWERS]
    slopes = [1 + slope * (ends - 0.5) for slope in SLOPES]
    return np.concatenate(powers + slopes, axis=-1)


class Betting:
    """One stream of scores. level: M now; after an alarm, M >= 1, all money is laid aside and what was seen is kept."""

    def __init__(self, reference: Iterable[float], seed: int = 0) -> None:
        self._bag = sorted(float(one) for one in reference)
        self._money = np.zeros(BETS)
        self._dice = np.random.default_rng(seed)
        self.level = 0.0

    def feed(self, scores: Floats, stakes: Floats) -> tuple[Floats, list[int]]:
        """(M after each score [N], places of the alarms). A score that is no number is passed over, its stake kept."""
        levels, alarms = np.empty(len(scores)), list[int]()
        for begin in range(0, len(scores), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            p = self._ranks(scores[part])
            won = np.where(np.isnan(p)[:, None], 1.0, bets(p))
            for at, (stake, bet) in enumerate(zip(stakes[part].tolist(), won), begin):
                self._money += stake
                self._money *= bet
                levels[at] = self.level = float(self._money.sum()) / BETS
                if self.level >= 1:
                    alarms.append(at)
                    self._money[:] = self.level = 0.0
        return levels, alarms

    def step(self, score: float, stake: float) -> bool:
        """One more score, before which `stake` was laid: is there an alarm?"""
        return bool(self.feed(np.array([score]), np.array([stake]))[1])

    def _ranks(self, scores: Floats) -> Floats:
        """p of each score, NaN for what is no number; the bag grows."""
        found = np.full(len(scores), np.nan)
        for at, score in enumerate(scores.tolist()):
            if score == score:
                low, high = bisect.bisect_left(self._bag, score), bisect.bisect_right(self._bag, score)
                found[at] = (low + self._dice.random() * (high - low + 1)) / (len(self._bag) + 1)
                self._bag.insert(high, score)
        return found


__all__ = ["BETS", "Betting", "bets"]
