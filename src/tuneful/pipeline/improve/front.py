"""The Pareto front of what was found: the points that no other beats in everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def front(points: Sequence[dict[str, Any]], direction: str, slack: float = 0.02) -> list[str]:
    """The names of kept points that no other is at least as good as in everything and better in something: objective, times, size.
    Times within `slack` of one another are equal, since they are noise."""
    sign = 1.0 if direction == "max" else -1.0

    def costs(one: dict[str, Any]) -> list[float]:
        return [
            -sign * float(one["value"]["value"]),
            *(float(t["value"]) for t in one["milliseconds"].values()),
            float(one["bytes"]),
        ]

    def beats(a: dict[str, Any], b: dict[str, Any]) -> bool:
        x, y = costs(a), costs(b)
        near = [0.0, *(slack * value for value in y[1:-1]), 0.0]
        return all(p <= q + e for p, q, e in zip(x, y, near, strict=True)) and any(
            p < q - e for p, q, e in zip(x, y, near, strict=True)
        )

    kept = [one for one in points if one["kept"]]
    return [str(one["name"]) for one in kept if not any(beats(other, one) for other in kept)]


__all__ = ["front"]
