"""How many members step at once: measured on the steps of the training itself.

All widths give the same training (to rounding), so measuring costs nothing but what the slower ones take longer. The widths take
turns, step by step, so that what slows the machine down for a while slows all of them; the least median wins. One by one is always
among them, and is given up only for a width that is clearly faster: a few samples are often a tenth off (LOG.md).
"""

from __future__ import annotations

import statistics

SAMPLES = 5  # steps of each width
CLEAR = 0.9  # of the time one by one: what a width must stay below to be taken
NEAR = 1.5  # times: what is known of a width holds for others so near
HOPELESS = 2.0  # times the best: a width that is so slow after two steps is not tried again


class Width:
    """k: how many members there are. fixed: the width that is wanted; None: measure. known: seconds of a step of one member, by width, as
    other stacks of the same kind have found them; what is found here is added. Widths that are known are not measured again."""

    def __init__(self, k: int, fixed: int | None = None, known: dict[int, float] | None = None) -> None:
        self.k, self.known = k, known if known is not None else {}
        asked = (
            [] if fixed is not None else [w for w in _widths(k) if not any(w <= NEAR * o <= NEAR**2 * w for o in self.known)]
        )
        if (
            self.known and fixed is None
        ):  # what is narrower than all that is known has been beaten, and what lies between tells little
            asked = [w for w in asked if w > max(self.known)]
        self.taken: dict[int, list[float]] = {w: [] for w in asked}
        self.chosen = min(fixed, k) if fixed is not None else 0  # 0: not yet
        self.gain = 1.0  # how many times as fast the chosen width is as one by one, at least
        self._single = 0.0  # the least that a step of all took one by one
        self.reason = "" if fixed is None else f"a width of {fixed} was asked for"
        if k == 1:
            self.chosen, self.reason = 1, "there is one member"
        elif fixed is None and not asked:
            self._choose()

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
        """Take the width with which a step of one member takes the least time, or an equal share of all members near to it."""
        for width, found in self.taken.items():
            self.known[width] = statistics.median(found) / self.k
        if self._single and 1 not in self.known:
            self.known[1] = self._single / self.k
        best = min(self.known, key=lambda w: (self.known[w], -w))
        if 1 in self.known and self.known[best] > CLEAR * self.known[1]:
            best = 1
        parts = -(-self.k // best)
        self.chosen = self.k if best * NEAR >= self.k and best > 1 else -(-self.k // parts)
        if best > 1 and 1 in self.known:
            self.gain = max(1.0, self.known[1] / self.known[best])
        told = ", ".join(
            f"{'one by one' if w == 1 else f'{w} at once'} {1e3 * s * self.k:.3g} ms" for w, s in sorted(self.known.items())
        )
        self.reason = f"a step of all {self.k} took {told}"


def _widths(k: int) -> list[int]:
    """All, halves, quarters, eighths, and one by one."""
    return sorted({max(1, -(-k // part)) for part in (1, 2, 4, 8)} | {1}, reverse=True)
