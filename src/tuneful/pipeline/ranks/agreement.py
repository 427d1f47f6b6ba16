"""When several ranks agree whether to go on: rank 0 says, at steps that all know beforehand.

A clock, a signal or a full interval of saving is seen by rank 0 alone. At each agreement it also says how many steps come before the
next one, about a tenth of a second of them, so that no step waits for a word.
"""

from __future__ import annotations

import time

from tuneful.pipeline.ranks.group import Ranks

BEAT = 0.1  # seconds between two agreements
MOST = 25  # steps between two agreements


class Agreement:
    """due: the step at which the ranks next agree."""

    def __init__(self) -> None:
        self.begin(0)

    def begin(self, step: int) -> None:
        """A walk begins at this step, and with it the count of the pace."""
        self.due, self._step, self._when = step, step, time.monotonic()

    def made(self, ranks: Ranks, step: int, now: float, *, stop: bool, save: bool) -> tuple[bool, bool]:
        """What rank 0 wants (the others' wishes are not heard): to stop, and to save. Raises RankError when another has ended."""
        steps, pace = step - self._step, now - self._when
        stops, saves, ahead = ranks.agreed(stop, save, min(MOST, max(1, BEAT * steps // max(pace, 1e-6))))
        self.due, self._step, self._when = step + int(ahead), step, now
        return bool(stops), bool(saves)


__all__ = ["Agreement"]
