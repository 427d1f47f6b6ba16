"""What is wanted: limits on time, size and measures, as the user writes them, and the point that keeps them best.

latency<1ms      one example in a call         latency64<5ms    so many examples in a call (as many as were timed)
size<200kB       of the ONNX file              accuracy>0.98    any measure on valid that limits or the objective name
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuneful.core.config import nearest
from tuneful.core.errors import RecipeError

UNITS = {
    "us": 1e-3,
    "ms": 1.0,
    "s": 1e3,
    "b": 1.0,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "kib": 1024.0,
    "mib": 1024.0**2,
    "": 1.0,
}
TIMES, SIZES = ("us", "ms", "s"), ("b", "kb", "mb", "gb", "kib", "mib")
_HINT = 'such as --goal "latency<1ms,size<200kB"'


@dataclass(frozen=True)
class Bound:
    """One limit. key: "size", "latency" (examples: in a call; 0 for the larger number that was timed), or the objective's metric;
    most: in bytes, milliseconds or the metric's unit; over: is it a least value instead?; said: as the user wrote it."""

    key: str
    examples: int
    most: float
    over: bool
    said: str

    def missed(self, point: Mapping[str, Any], metric: str) -> float:
        """How many times the limit a point is; at most 1 keeps it. Times count with the upper end of their interval."""
        if self.key == "size":
            met = float(point["bytes"])
        elif self.key == "latency":
            times = {int(n): one for n, one in point["milliseconds"].items()}
            met = float(times[self.examples if self.examples in times else max(times)]["high"])
        else:
            met = float(point["value"]["value"] or 0.0)
        return (self.most / met if met else 1e9) if self.over else met / self.most


def bounds(asked: str | None, metric: str, direction: str) -> tuple[Bound, ...]:
    """The limits that a text names. Raises RecipeError for what cannot be read, and for a measure that is not the objective."""
    found: list[Bound] = []
    for part in (piece.strip() for piece in (asked or "").split(",")):
        if not part:
            continue
        match = re.fullmatch(r"([a-z_]+?)(\d*)\s*([<>])=?\s*(\d+(?:\.\d+)?(?:e-?\d+)?)\s*([a-zA-Z%]*)", part)
        if match is None:
            raise RecipeError(f'--goal has "{part}"; it must be a quantity, < (or >) and an amount', _HINT)
        key, examples, sign, amount, unit = match.groups()
        unit = unit.lower()
        known = ("latency", "size", metric)
        if key not in known:
            guess = nearest(key, known)
            raise RecipeError(f"--goal names {key}; it may name latency, size and the objective, {metric}"
                              f"{f'; did you mean {guess}?' if guess else ''}", _HINT)  # fmt: skip
        wanted = {"latency": TIMES, "size": SIZES}.get(key, ("", "%"))
        if unit not in wanted:
            raise RecipeError(
                f'--goal has "{part}"; {key} is told in {" or ".join(one for one in wanted if one) or "plain numbers"}',
                _HINT,
            )
        over = sign == ">"
        right = direction == "max" if key == metric else False
        if over != right:
            raise RecipeError(f'--goal has "{part}"; {key} is better when it is {"larger" if right else "smaller"}, so write '
                              f'{key}{examples}{">" if right else "<"}{amount}{unit}')  # fmt: skip
        most = float(amount) / 100 if unit == "%" else float(amount) * UNITS[unit]
        if most <= 0:
            raise RecipeError(f'--goal has "{part}"; the amount must be > 0', _HINT)
        found.append(Bound(key, int(examples or (1 if key == "latency" else 0)), most, over, part))
    return tuple(found)


def chosen(
    points: Sequence[Mapping[str, Any]], wanted: Sequence[Bound], metric: str, direction: str
) -> Mapping[str, Any] | None:
    """Of the points that keep all limits, the one with the best objective; of equals the fastest. None where none does."""
    fit = [one for one in points if one["kept"] and all(bound.missed(one, metric) <= 1 for bound in wanted)]
    sign = -1.0 if direction == "max" else 1.0
    return min(fit, key=lambda one: (sign * float(one["value"]["value"]), _time(one), one["bytes"])) if fit else None


def closest(
    points: Sequence[Mapping[str, Any]], wanted: Sequence[Bound], metric: str
) -> tuple[Mapping[str, Any], Bound, float]:
    """The kept point that misses the limits least, the limit that it misses most, and by what factor."""

    def worst(one: Mapping[str, Any]) -> tuple[float, Bound]:
        return max(((bound.missed(one, metric), bound) for bound in wanted), key=lambda pair: pair[0])

    best = min((one for one in points if one["kept"]), key=lambda one: worst(one)[0])
    factor, bound = worst(best)
    return best, bound, factor


def _time(point: Mapping[str, Any]) -> float:
    return min(float(one["value"]) for one in point["milliseconds"].values())


__all__ = ["Bound", "bounds", "chosen", "closest"]
