"""Average confidence: if the model were calibrated, its mean confidence would be its accuracy.

    accuracy = mean of c,    c: the probability of what is predicted

Source: Hendrycks & Gimpel, ICLR 2017 (the baseline); it inherits all that the model believes of itself wrongly.
"""

from __future__ import annotations

from tuneful.runtime.watch.samples import Floats


def average_confidence(before: Floats, right: Floats, now: Floats) -> float:
    """now [N]: confidences without labels; before and right, of labelled validation examples, are not needed."""
    return float(now.mean())


__all__ = ["average_confidence"]
