"""How many members step at once: measured on the steps of the training itself.

All widths give the same training (to rounding), so measuring costs nothing but what the slower ones take longer. The widths take
turns, step by step, so that what slows the machine down for a while slows all of them; the least median wins. One by one is always
among them, and is given up only for a width that is clearly faster: a few samples are often a tenth off (LOG.md).
"""

from __future__ import annotations

import statistics

SAMPLES = 5  # steps of each width
CLEAR = 0.9  # of the time one by one: what a width must stay below to be taken
HOPELESS = 2.0  # times the best: a width that is so slow after two steps is not tried again


class Width:
    """k: how many members there are. fixed: the width that is wanted; None: measure."""

    def __init__(self, k: int, fixed: int | None = None) -> None:
        self.k = k
        self.taken: dict[int, list[float]] = {w: [] for w in _widths(k)} if fixed is None else {}
        self.chosen = min(fixed, k) if fixed is not None else 0  # 0: not yet
        self.gain = 1.0  # how many times as fast the chosen width is as one by one, at least
        self._single = 0.0  # the least that a step of all took one by one
        self.reason = "" if fixed is None else f"a width of {fixed} was asked for"
        if k == 1:
            self.chosen, self.reason = 1, "there is one member"

    def serves(self, k: int) -> bool:
        """Does what was found for so many members as there were still say something of k?"""
        return self.chosen > 0 and self.k / 2 <= k <= 2 * self.k and (self.chosen == 1 or k > 1) and self.k > 1

    def next(self) -> int:
        """The width to take now."""
        return self.chosen or min(self.taken, key=lambda w: (len(self.taken[w]), -w))

    def took(self, width: int, seconds: float) -> None:
        """A step of all members with this width took so long."""
        if self.chosen:
            return
        self.taken[width].append(seconds)
        if width == 1:
            self._single = min(self.taken[1])
        best = min((min(found) for found in self.taken.values() if found), default=0.0)
        for other, found in list(self.taken.items()):
            if len(found) >= 2 and min(found) > HOPELESS * best and (other > 1 or len(self.taken) > 1):
                del self.taken[other]
        if all(len(found) >= SAMPLES for found in self.taken.values()) or len(self.taken) == 1:
            self._choose()

    def _choose(self) -> None:
        middle = {w: statistics.median(found) for w, found in self.taken.items()}
        self.chosen = min(middle, key=lambda w: middle[w])
        if 1 in middle and middle[self.chosen] > CLEAR * middle[1]:
            self.chosen = 1
        if self._single and self.chosen > 1:
            self.gain = max(1.0, self._single / middle[self.chosen])
        told = ", ".join(f"{'one by one' if w == 1 else f'{w} at once'} {1e3 * s:.3g} ms" for w, s in sorted(middle.items()))
        self.reason = f"a step of all {self.k} took {told}"


def _widths(k: int) -> list[int]:
    """All, halves, quarters, eighths, and one by one."""
    return sorted({max(1, -(-k // part)) for part in (1, 2, 4, 8)} | {1}, reverse=True)
