"""What may be spent, and a clock that keeps a reserve for proving and shipping.

Budget.parse("30min")    Budget.parse("40 trials")    Budget.parse("2h, 100 trials")
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from tuneful.core.errors import RecipeError

UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}


@dataclass(frozen=True)
class Budget:
    """seconds: wall clock from start to sealed artifact, or None; trials: how many may be begun, or None."""

    seconds: float | None = None
    trials: int | None = None

    def __post_init__(self) -> None:
        if self.seconds is None and self.trials is None:
            raise RecipeError(
                "the budget is empty; it must be a time, a number of trials, or both", "such as --budget 10min"
            )
        if self.seconds is not None and not 0 < self.seconds < 1e9:
            raise RecipeError(f"the budget is {self.seconds:g} s; it must be > 0 s and < 30 years")
        if self.trials is not None and self.trials < 1:
            raise RecipeError(f"the budget is {self.trials} trials; it must be >= 1")

    @staticmethod
    def parse(text: str) -> Budget:
        """Read "90s", "30min", "1h30min", "40 trials", or a time and trials with a comma between.

        >>> Budget.parse("1h30min, 40 trials")
        Budget(seconds=5400.0, trials=40)
        """
        seconds: float | None = None
        trials: int | None = None
        for part in (p.strip().lower() for p in text.split(",")):
            if match := re.fullmatch(r"(\d+)\s*trials?", part):
                trials = int(match[1])
            elif re.fullmatch(r"(\d+(\.\d+)?\s*[a-z]+\s*)+", part):
                pieces = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]+)", part)
                if any(unit not in UNITS for _, unit in pieces):
                    raise _unreadable(text)
                seconds = sum(float(number) * UNITS[unit] for number, unit in pieces)
            else:
                raise _unreadable(text)
        return Budget(seconds, trials)

    def __str__(self) -> str:
        time_part = "" if self.seconds is None else span(self.seconds)
        trial_part = "" if self.trials is None else f"{self.trials} trial{'' if self.trials == 1 else 's'}"
        return ", ".join(part for part in (time_part, trial_part) if part)


def _unreadable(text: str) -> RecipeError:
    return RecipeError(
        f'the budget is "{text}"; it must be a time (90s, 30min, 2h), a number of trials (40 trials), or both',
        'such as --budget 30min or --budget "2h, 100 trials"',
    )


def span(seconds: float) -> str:
    """Seconds in words, to about three digits.

    >>> span(4.5), span(750), span(7512)
    ('4.5s', '12min 30s', '2h 5min')
    """
    if seconds < 60:
        return f"{seconds:.3g}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}min" + (f" {whole % 60}s" if whole % 60 else "")
    return f"{whole // 3600}h" + (f" {whole % 3600 // 60}min" if whole % 3600 // 60 else "")


class Clock:
    """Counts what a budget has left. `spent` seconds of earlier sessions count; `began` is a `time.monotonic()` moment."""

    def __init__(self, budget: Budget, spent: float = 0.0, began: float | None = None) -> None:
        self.budget = budget
        self.earlier = spent
        self.began = time.monotonic() if began is None else began
        self.reserve = 0.0  # seconds kept back for proving and shipping

    @property
    def spent(self) -> float:
        """Seconds spent, earlier sessions included."""
        return self.earlier + time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Seconds left in all; infinite when the budget states no time."""
        return float("inf") if self.budget.seconds is None else self.budget.seconds - self.spent

    @property
    def left_for_search(self) -> float:
        """Seconds left before the reserve begins."""
        return self.left - self.reserve

    def trials_left(self, begun: int) -> float:
        """How many trials may still begin."""
        return float("inf") if self.budget.trials is None else max(0, self.budget.trials - begun)
