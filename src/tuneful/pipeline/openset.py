"""How well a model of an open set tells the known from the rest, and when it abstains: chosen on valid, measured on test.

    score       the one of `runtime.openset` with the largest AUROC of known against outside on valid; max_logit where valid has
                no outsiders
    threshold   the score that the share `coverage` of the known examples of valid reaches
    AUROC       known against outside, by the score; DeLong
    risk        the share of wrong classes among the known that are answered; the curve runs over all thresholds, and AURC is its
                mean over the coverage (Geifman, Uziel & El-Yaniv, ICLR 2019, arXiv:1805.08206; 0 is best)

Everything takes what is exported of a network: [N, L + 1], probabilities and energy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tuneful.core.measure import Measure, percentiles, resampled_means, undefined, wilson
from tuneful.core.task import Split
from tuneful.pipeline import judge
from tuneful.pipeline.goals import GOALS
from tuneful.runtime.openset import SCORES, margins, scores

Array = NDArray[Any]
Floats = NDArray[np.float64]
POINTS = 40  # of the curve that the evidence keeps
FEWEST = 20  # outsiders of valid from which they choose the score
_LEVEL = 0.95  # of the known are answered where "false positive rate at 95 %" is told


def rule(known: Array, outside: Array | None, coverage: float) -> dict[str, Any]:
    """{"score", "threshold", "coverage", "chosen": why, "n": [known, outside]} from what is told of valid."""
    beside = 0 if outside is None else len(outside)
    if outside is not None and beside >= FEWEST:
        areas = {name: auroc(scores(name, known), scores(name, outside)).value for name in SCORES}
        best = max(areas, key=lambda name: areas[name])
        why = "AUROC on valid: " + ", ".join(f"{name} {area:.4f}" for name, area in areas.items())
    else:
        best = SCORES[0]
        why = f"valid has {beside or 'no'} examples from outside, too few to choose by" if beside < FEWEST else ""
    threshold = reached(scores(best, known), coverage)
    return {"score": best, "threshold": threshold, "coverage": coverage, "chosen": why, "n": [len(known), beside]}


def reached(score: Floats, share: float) -> float:
    """The largest score that at least this share reaches."""
    return float(np.sort(score)[len(score) - max(1, math.ceil(share * len(score) - 1e-9))])


def told(network: nn.Module, split: Split) -> tuple[Array, Array | None]:
    """What is exported of a network for the examples of a split, and for those beside it that are of no class."""
    link = GOALS["openset"].told()
    outside = None if split.outside is None else judge.predict(network, split.outside, link=link)
    return judge.predict(network, split.x, link=link), outside


def auroc(known: Floats, outside: Floats) -> Measure:
    """The chance that a known example has a larger score than one from outside, with DeLong's interval."""
    both = np.concatenate([known, outside])
    y = np.repeat([1, 0], [len(known), len(outside)])
    return judge.measure("auroc", np.stack([-both, both], axis=1), y)


def measured(how: Mapping[str, Any], known: Array, y: Array, outside: Array | None, seed: int = 0) -> dict[str, Measure]:
    """What the rule makes of a split, by the names of measures. y: classes [N] of the known examples."""
    right, margin = known[:, :-1].argmax(axis=1) == y, margins(how, known)
    answered = margin >= 0
    found = {
        "coverage": wilson(int(answered.sum()), len(y)),
        "accuracy_answered": wilson(int(right[answered].sum()), int(answered.sum())),
        "aurc": aurc(margin, right, seed),
    }
    if outside is not None and len(outside):
        beside = margins(how, outside)
        allowed = reached(margin, _LEVEL)
        found["auroc_outside"] = auroc(margin, beside)
        found["outside_rejected"] = wilson(int((beside < 0).sum()), len(beside))
        found["fpr_at_95"] = wilson(int((beside >= allowed).sum()), len(beside))
        well = int((answered & right).sum()) + int((beside < 0).sum())
        found["accuracy_open"] = wilson(well, len(y) + len(beside))
    return found


def aurc(margin: Floats, right: Array, seed: int = 0) -> Measure:
    """The area under risk over coverage, sum_k risk(k) / n, where risk(k) is the share of wrong ones among the k best known.

    Its interval resamples examples with the weight that each has in that sum, 1/k summed over the k that it is part of.
    """
    n = len(right)
    if n < 2:
        return undefined(n, "one example has no curve")
    ordered = ~right[np.argsort(-margin, kind="stable")]
    weight = np.cumsum((1.0 / np.arange(1, n + 1))[::-1])[::-1]
    each = (ordered * weight)[:, None]
    draws = resampled_means(each, 1000, seed)[:, 0]
    low, high = percentiles(draws, n)
    value = float(each.mean())
    return Measure(value, min(low, value), max(high, value), n, how="bootstrap 95 % over examples, 1000 resamples")


def curve(how: Mapping[str, Any], known: Array, y: Array, outside: Array | None) -> list[dict[str, float]]:
    """Thresholds from strict to lenient: {"coverage", "risk", "low", "high" (Wilson), "threshold", "outside": share answered}."""
    right, margin = known[:, :-1].argmax(axis=1) == y, margins(how, known)
    order = np.argsort(-margin, kind="stable")
    wrong = np.cumsum(~right[order])
    beside = np.sort(margins(how, outside)) if outside is not None and len(outside) else None
    found: list[dict[str, float]] = []
    for count in np.unique(np.linspace(max(1, len(y) // POINTS), len(y), POINTS).round().astype(int)).tolist():
        risk, at = wilson(int(wrong[count - 1]), count), float(margin[order[count - 1]])
        point = {"coverage": count / len(y), "risk": risk.value, "low": risk.low, "high": risk.high}
        point["threshold"] = at + float(how["threshold"])
        if beside is not None:
            point["outside"] = 1 - float(np.searchsorted(beside, at, "left")) / len(beside)
        found.append(point)
    return found


__all__ = ["aurc", "auroc", "curve", "measured", "rule", "told"]
