"""ADWIN: a window that is as long as what it holds is alike, and that drops its older part when the two differ.

For every cut of the window into W0, W1 with means m0, m1 and L = ln(2 |W| / delta), scores in [0, 1] of variance at most v:

    |m0 - m1| >= the smaller of
        sqrt((L + ln 2) (1/n0 + 1/n1) / 2)                              Hoeffding
        b + sqrt(b^2 + 2 v (1/n0 + 1/n1) L),  b = L / (3 min(n0, n1))     Bernstein

Both have a proof: while nothing changes, a cut is made at one step with a chance of at most delta, so stakes of w_t at step t sum to a bound of
the expected number of false alarms. (The usual normal approximation has none.) Shares of a reference below a score have v = 1/12. The window is kept as buckets of 1, 2, 4, ... scores, at most MOST of each, so memory
and time are logarithmic; cuts are looked at between buckets.

Sources: Bifet & Gavalda, SIAM Data Mining 2007, theorem 3.1 and section 4; Bernstein 1924 (Boucheron, Lugosi & Massart 2013, theorem 2.10).
"""

from __future__ import annotations

import math

MOST = 5  # buckets of one size
EVERY = 32  # scores between two looks


class Adwin:
    """One stream of scores in [0, 1] with a variance of at most `variance` while nothing changes. count, mean: of the window."""

    def __init__(self, variance: float = 0.25) -> None:
        self._variance = variance
        self._rows: list[list[float]] = [[]]  # sums of buckets of 2^k scores, oldest first; the last row is the largest size
        self.count, self._sum, self._owed, self._looked = 0, 0.0, 0.0, 0

    @property
    def mean(self) -> float:
        return self._sum / self.count if self.count else math.nan

    def step(self, score: float, stake: float) -> bool:
        """One more score, with a chance of `stake` for a false alarm: has the window been cut?"""
        self._owed += stake
        if math.isnan(score):
            return False
        score = min(max(score, 0.0), 1.0)
        self._rows[0].append(score)
        self.count, self._sum, self._looked = self.count + 1, self._sum + score, self._looked + 1
        for size, row in enumerate(self._rows):
            if len(row) <= MOST:
                break
            if size + 1 == len(self._rows):
                self._rows.append([])
            self._rows[size + 1].append(row.pop(0) + row.pop(0))
        if self._looked < EVERY:
            return False
        delta, self._owed, self._looked = self._owed, 0.0, 0
        cut = False
        while delta > 0 and self._differs(delta):
            self._drop()
            cut = True
        return cut

    def _differs(self, delta: float) -> bool:
        """Is there a cut whose sides differ?"""
        n0, s0 = 0, 0.0
        log = math.log(2 * self.count / delta)
        for size in reversed(range(len(self._rows))):
            for total in self._rows[size]:
                n0, s0 = n0 + (1 << size), s0 + total
                n1 = self.count - n0
                if n1 < 1:
                    return False
                if abs(s0 / n0 - (self._sum - s0) / n1) >= least(log, n0, n1, self._variance):
                    return True
        return False

    def _drop(self) -> None:
        """Forget the oldest bucket."""
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()
        self._sum -= self._rows[-1].pop(0)
        self.count -= 1 << (len(self._rows) - 1)
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()


def least(log: float, n0: int, n1: int, variance: float) -> float:
    """The smallest difference of two means that is a change."""
    spread, b = 1 / n0 + 1 / n1, log / (3 * min(n0, n1))
    return min(math.sqrt((log + math.log(2)) * spread / 2), b + math.sqrt(b * b + 2 * variance * spread * log))


__all__ = ["EVERY", "Adwin"]
