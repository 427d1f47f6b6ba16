"""How many false alarms are accepted, as one writes it: 0.01/month, 0.05/week, 0.01/10000 (examples), or 0.01 for one look at all there is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tuneful.core.errors import TunefulError

PERIODS = {"hour": 3600.0, "day": 86400.0, "week": 7 * 86400.0, "month": 30.4375 * 86400.0, "year": 365.25 * 86400.0}
_WRITTEN = re.compile(r"(\d*\.?\d+(?:e-?\d+)?)\s*(?:/\s*([a-z]+|\d+))?")


@dataclass(frozen=True)
class Rate:
    """chance: of false alarms, in (0, 1), that are expected in each period; seconds or examples: how long that is (0: not told so)."""

    chance: float
    seconds: float = 0.0
    examples: int = 0
    text: str = ""

    @staticmethod
    def of(text: str) -> Rate:
        """A rate as it is written.

        >>> Rate.of("0.01/day").seconds
        86400.0

        Raises: TunefulError.
        """
        found = _WRITTEN.fullmatch(text.strip().lower())
        period = found[2] if found else None
        if (
            not found
            or not 0 < float(found[1]) < 1
            or (period and not period.isdigit() and period not in PERIODS)
            or period == "0"
        ):
            raise TunefulError(
                f"the rate of false alarms is {text!r}; it must be a number in (0, 1) and a period",
                f"such as 0.01/month or 0.01/10000; the periods are {', '.join(PERIODS)}, or a number of examples",
            )
        if not period:
            return Rate(float(found[1]), text=text)
        if period.isdigit():
            return Rate(float(found[1]), examples=int(period), text=text)
        return Rate(float(found[1]), seconds=PERIODS[period], text=text)

    def __str__(self) -> str:
        return self.text or f"{self.chance:g}"


__all__ = ["PERIODS", "Rate"]
