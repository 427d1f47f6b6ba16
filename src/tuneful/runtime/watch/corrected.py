"""Many tests at once: chances corrected so that what is called drift is not just the largest of many accidents.

    Holm:                 p'_(k) = max over j <= k of (K - j + 1) p_(j)    any false call at all has a chance of at most the level
    Benjamini-Hochberg:   p'_(k) = min over j >= k of K p_(j) / j          at most this share of the calls is false, on average

Holm holds however the features hang together; Benjamini-Hochberg where they do so positively.

Sources: Holm, Scandinavian Journal of Statistics 1979; Benjamini & Hochberg, JRSS B 1995; Benjamini & Yekutieli, Annals of Statistics 2001.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuneful.runtime.watch.samples import Floats


def holm(p: Sequence[float] | Floats) -> Floats:
    """Corrected chances in the order given; what is at most the level is called."""
    told = np.asarray(p, dtype=np.float64)
    order, count = np.argsort(told, kind="stable"), len(told)
    found = np.empty(count)
    found[order] = np.minimum(1.0, np.maximum.accumulate((count - np.arange(count)) * told[order]))
    return found


def benjamini_hochberg(p: Sequence[float] | Floats) -> Floats:
    """Corrected chances in the order given."""
    told = np.asarray(p, dtype=np.float64)
    order, count = np.argsort(told, kind="stable"), len(told)
    found = np.empty(count)
    ratio = count * told[order] / np.arange(1, count + 1)
    found[order] = np.minimum(1.0, np.minimum.accumulate(ratio[::-1])[::-1])
    return found


CORRECTIONS = {"holm": holm, "bh": benjamini_hochberg}

__all__ = ["CORRECTIONS", "benjamini_hochberg", "holm"]
