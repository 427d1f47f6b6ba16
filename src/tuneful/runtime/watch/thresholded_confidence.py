"""Average thresholded confidence (ATC): a threshold of confidence is learned above which as many validation examples lie as are right.

    t:  share of validation examples with c >= t  =  accuracy on them;      accuracy now = share with c >= t

Source: Garg et al., ICLR 2022, arXiv:2201.04234.
"""

from __future__ import annotations

import numpy as np

from tuneful.runtime.watch.samples import Floats


def thresholded_confidence(before: Floats, right: Floats, now: Floats) -> float:
    """before [M] with right [M] (0 or 1): of labelled validation examples; now [N]: without labels."""
    order = np.sort(before)
    wrong = round(float((1 - right).sum()))
    threshold = order[wrong] if wrong < len(order) else np.inf
    return float((now >= threshold).mean())


__all__ = ["thresholded_confidence"]
