"""Networks of a search joined into one: an ensemble of their answers, or a soup of their weights, taken only where it is better."""

from __future__ import annotations

from tuneful.pipeline.joining.join import Joining, Origin

__all__ = ["Joining", "Origin"]
