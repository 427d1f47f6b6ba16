"""k of n windows: one window that differs is an accident now and then; k among the last n are a drift.

Each window is tested at the level

    a = k (rate / windows),     windows: how many of them there are in the period for which the rate is stated

An alarm needs k windows that differ, and of `windows` quiet ones rate * k are expected to, so P(alarm) <= rate by Markov's
inequality - however windows hang together, and all of them do, through the reference that they share. (Were they independent, the
chance would be far smaller.)

Source: Ruschendorf, Advances in Applied Probability 1982 (chances of k among dependent events).
"""

from __future__ import annotations

from collections.abc import Sequence


def level(rate: float, windows: float, k: int) -> float:
    """At which level a window is tested, for at most `rate` false alarms in so many windows."""
    return min(1.0, k * rate / max(1.0, windows))


def alarms(differs: Sequence[bool], k: int, n: int) -> list[int]:
    """The windows at which an alarm begins: k of the last n differ. It ends when fewer do, and a window counts for one alarm only.

    >>> alarms([False, True, False, True, True, False, False, False], k=2, n=3)
    [3]
    """
    found: list[int] = []
    since, on = 0, False
    for at in range(len(differs)):
        count = sum(differs[max(since, at - n + 1) : at + 1])
        if count >= k and not on:
            found.append(at)
            on = True
        elif on and count < k:
            on, since = False, at + 1
    return found


__all__ = ["alarms", "level"]
