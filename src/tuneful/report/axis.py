"""Axes: where a value lies between two ends, and the round numbers to print beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tuneful.report.words import number

Tick = tuple[float, str]
Scale = Literal["linear", "log", "one"]
LARGEST = 1e290  # what is larger counts as infinite
_NINES = (-1.0, 0.0, 0.5, 0.8, *(round(1 - f * 10.0**-k, k + 2) for k in range(1, 7) for f in (1, 0.5, 0.2)))


@dataclass(frozen=True)
class Axis:
    """A range [low, high], low < high, with labelled ticks inside it.

    scale: "linear"; "log"; or "one", which is logarithmic in the distance to 1, so that 0.9, 0.99 and 0.999 stand equally
    far apart, as suits accuracies.
    """

    low: float
    high: float
    scale: Scale = "linear"
    ticks: tuple[Tick, ...] = ()

    @staticmethod
    def over(values: Iterable[float], log: bool = False, pad: float = 0.03, most: int = 6, counts: bool = False) -> Axis:
        """An axis that holds all finite values with a margin of `pad` of its length, and at most about `most` ticks.

        A logarithmic axis needs positive values and becomes linear without them. counts: ticks at whole numbers only.
        """
        found = [float(value) for value in values if abs(value) < LARGEST]
        if not found:
            return Axis(0.0, 1.0, ticks=_linear(0.0, 1.0, most))
        low, high = min(found), max(found)
        if log and low > 0:
            reach = max((math.log(high) - math.log(low)) * pad, 0.05)
            low, high = low * math.exp(-reach), high * math.exp(reach)
            return Axis(low, high, "log", _logarithmic(low, high, most))
        if high - low <= 1e-12 * max(abs(low), abs(high), 1e-280):
            reach = max(abs(low) * 0.05, 1e-6) if low else 0.5
        else:
            reach = (high - low) * pad
        ticks = _linear(low - reach, high + reach, most)
        if counts:
            ticks = tuple((value, _label(value, 0, 1)) for value, _ in ticks if value == round(value))
        return Axis(low - reach, high + reach, ticks=ticks)

    @staticmethod
    def toward_one(values: Iterable[float], pad: float = 0.04) -> Axis:
        """An axis of scale "one" over values of at most 1; a value of exactly 1 stands at its end."""
        errors = [1 - min(value, 1.0) for value in values if abs(value) < LARGEST]
        least = min((error for error in errors if error > 1e-9), default=1e-3)
        small, large = (least / 2 if min(errors, default=1.0) <= 1e-9 else least), max(*errors, least, 1e-9)
        reach = (large / small) ** pad * 1.02
        low, high = 1 - large * reach, 1 - small / reach
        inside = [value for value in _NINES if low <= value <= high]
        every = -(-len(inside) // 7)
        return Axis(low, high, "one", tuple((value, f"{value:g}") for value in inside[::-1][:: max(every, 1)][::-1]))

    def at(self, value: float) -> float:
        """The place of a value as a share of the axis; outside [0, 1] for a value outside it, NaN for a NaN."""
        if self.scale == "linear":
            return (value - self.low) / (self.high - self.low)
        if math.isnan(value):
            return math.nan
        if self.scale == "one":
            far, near = math.log(1 - self.low), math.log(1 - self.high)
            return (far - math.log(max(1 - value, 1 - self.high))) / (far - near)
        if value <= 0:
            return -1.0
        return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))


def of_values(
    values: Iterable[float],
    smaller: bool,
    at_most_one: bool,
    reach: float = 1.5,
    pad: float = 0.03,
    keep: Iterable[float] = (),
) -> Axis:
    """An axis for an objective: stretched toward 1 or logarithmic where the values ask for it, and never stretched by a few
    hopeless ones. at_most_one: 1 is the best value that the metric can have. keep: values that must be inside."""
    found = [value for value in values if abs(value) < LARGEST]
    if at_most_one and not smaller and found:
        errors = sorted(1 - min(value, 1.0) for value in found)
        if errors[0] < 0.2 and errors[-1] > 3 * errors[len(errors) // 4]:
            ends = (1 - errors[len(errors) // 200], 1 - errors[min(int(0.98 * len(errors)), len(errors) - 1)])
            return Axis.toward_one([*ends, *keep])
    ends = sturdy(found, smaller, reach)
    if ends is None:
        return Axis.over([])
    inside = [*ends, *keep]
    return Axis.over(inside, log=smaller and spans_decades(inside), pad=pad)


def spans_decades(values: Iterable[float]) -> bool:
    """Do these belong on a logarithmic axis? All are positive, the ends lie a decade or more apart, and the middle value
    lies nearer to the middle of that axis than of a linear one."""
    found = sorted(values)
    if not found or found[0] <= 0 or found[-1] < 9.99 * found[0]:
        return False
    low, middle, high = found[0], found[len(found) // 2], found[-1]
    linear = (middle - low) / (high - low)
    logarithmic = math.log(middle / low) / math.log(high / low)
    return len(found) < 4 or abs(logarithmic - 0.5) <= abs(linear - 0.5)


def sturdy(values: Iterable[float], smaller: bool, reach: float = 1.5) -> tuple[float, float] | None:
    """The ends of a range that a few hopeless values cannot stretch: the good end is kept whole, the bad end is cut at
    `reach` times the distance between the best value and the quartile of the worse half (None without values)."""
    found = sorted(value for value in values if abs(value) < LARGEST)
    if not found:
        return None
    if smaller:
        best, far = found[0], found[(3 * len(found)) // 4 if len(found) > 3 else -1]
        return best, min(found[-1], best + reach * (far - best)) if far > best else found[-1]
    best, far = found[-1], found[len(found) // 4 if len(found) > 3 else 0]
    return (max(found[0], best - reach * (best - far)) if far < best else found[0]), best


def _linear(low: float, high: float, most: int) -> tuple[Tick, ...]:
    rough = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    exact = [round(k * step, 12 - math.floor(math.log10(step))) for k in range(first, last + 1)]
    decimals = max(-math.floor(math.log10(step) + 1e-9) + (1 if abs(step / power - 2.5) < 1e-6 else 0), 0)
    return tuple((value, _label(value, decimals, step)) for value in exact)


def _label(value: float, decimals: int, step: float) -> str:
    if step < 1e-5 or abs(value) >= 1e7:
        return number(value, 5)
    return f"{value + 0.0:,.{decimals}f}".replace("-", "−")


def _logarithmic(low: float, high: float, most: int) -> tuple[Tick, ...]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(math.ceil((last - first) / most), 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        exact = [f * 10.0**k for k in range(first, last + 1, every) for f in factors]
        inside = [value for value in exact if low * 0.999 <= value <= high * 1.001]
        if len(inside) >= 3:
            break
    else:
        return _linear(low, high, most)
    return tuple((value, number(value)) for value in inside[: 2 * most])
