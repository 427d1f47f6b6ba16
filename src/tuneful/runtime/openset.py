"""How well an example is known, and when a model of an open set abstains. numpy alone, the same for proving and serving.

From probabilities p and energy E = log sum exp z the logits come back, z_l = E + log p_l, and three scores are at hand, of which
the one is taken that told outsiders best on the validation split:

    probability   max_l p_l             (Hendrycks & Gimpel, ICLR 2017, arXiv:1610.02136)
    max_logit     max_l z_l             (Hendrycks et al., ICML 2022, arXiv:1911.11132)
    energy        log sum exp z         (Liu et al., NeurIPS 2020, arXiv:2010.03759)

An example whose score lies below the threshold gets no class but `abstain` (Chow, IEEE Trans. Inf. Theory 16, 1970).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ABSTAIN = "abstain"
SCORES = ("max_logit", "energy", "probability")
_TINY = 1e-300


def scores(name: str, told: NDArray[Any]) -> Floats:
    """[N], larger for what is better known. told: [N, L + 1], probabilities and energy."""
    best, energy = told[:, :-1].max(axis=1).astype(np.float64), told[:, -1].astype(np.float64)
    if name == "probability":
        return best
    return energy + np.log(np.maximum(best, _TINY)) if name == "max_logit" else energy


def margins(rule: Mapping[str, Any], told: NDArray[Any]) -> Floats:
    """How far above the threshold each example lies, [N]; below 0 the model abstains. rule: {"score": name, "threshold": number}."""
    return scores(str(rule["score"]), told) - float(rule["threshold"])


__all__ = ["ABSTAIN", "SCORES", "margins", "scores"]
