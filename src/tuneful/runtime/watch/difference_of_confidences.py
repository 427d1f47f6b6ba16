"""Difference of confidences: what the model was right or wrong about itself on validation data is taken off.

    accuracy = accuracy before - (mean confidence before - mean confidence now)

Source: Guillory et al., ICCV 2021, arXiv:2107.03315.
"""

from __future__ import annotations

from tuneful.runtime.watch.samples import Floats


def difference_of_confidences(before: Floats, right: Floats, now: Floats) -> float:
    """before [M] with right [M] (0 or 1): of labelled validation examples; now [N]: without labels."""
    return float(min(1.0, max(0.0, right.mean() - before.mean() + now.mean())))


__all__ = ["difference_of_confidences"]
