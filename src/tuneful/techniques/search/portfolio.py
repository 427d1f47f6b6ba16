"""Points that did well elsewhere, to begin a search with: AlgoPerf's published settings of NAdamW, mapped to the space.

They were chosen by their authors to do well together on eight large workloads (images, speech, translation, graphs, clicks). Here they are
first guesses and nothing more: a search trains each to its first rung beside the recipe's defaults, and goes on with what is good. Of a
point only the dials are taken that the space has and whose range holds the value; the others are as in the recipe. Where the space has a
choice of optimizers, a point goes to the first of Adam's family with decoupled decay; without one there is no point.

Source: Dahl et al., 2023, arXiv:2306.07179, baseline of the external tuning ruleset; values of
prize_qualification_baselines/external_tuning/tuning_search_space.json in github.com/mlcommons/algorithmic-efficiency at 226544dc
(Apache-2.0), of which one is there twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneful.core.space import Choice, Space

FAMILY = ("nadamw", "adamw", "nadam", "adam")

POINTS: tuple[Mapping[str, float], ...] = tuple(
    {
        "optimizer.lr": lr, "optimizer.beta1": beta1, "optimizer.beta2": beta2, "optimizer.decay": decay, "schedule.warmup": warmup,
        "regularizers.dropout.rate": dropout, "regularizers.smoothing.amount": smoothing,
    }
    for lr, beta1, beta2, decay, warmup, dropout, smoothing in (
        (0.001308209823469072, 0.97313336939, 0.9981232922116359, 0.16375311233774334, 0.1, 0.0, 0.1),
        (0.0008445074561975979, 0.88957581535, 0.9978504782314613, 0.08135402759553023, 0.05, 0.0, 0.2),
        (0.004958460849689891, 0.86374424257, 0.6291854735396584, 0.1147386261512052, 0.02, 0.0, 0.1),
        (0.0017486387539278373, 0.93266073836, 0.9955159689799007, 0.08121616522670176, 0.02, 0.1, 0.1),
    )
)  # fmt: skip


def mapped(space: Space, defaults: Mapping[str, Any], optimizer: str) -> list[dict[str, Any]]:
    """The points in this space. defaults: the dials as the recipe has them; optimizer: the recipe's, where the space has no choice of them."""
    choice = next((dial.range.values for dial in space if dial.path == "optimizer" and isinstance(dial.range, Choice)), None)
    kind = next((one for one in FAMILY if one in (choice or (optimizer,))), None)
    if kind is None:
        return []
    out: list[dict[str, Any]] = []
    for point in POINTS:
        values: dict[str, Any] = {}
        taken = 0
        for dial in space:
            if not dial.exists(values):
                continue
            if dial.path == "optimizer":
                values[dial.path] = kind
            elif dial.path in point and dial.holds(point[dial.path]):
                values[dial.path] = point[dial.path]
                taken += 1
            elif dial.path in defaults:
                values[dial.path] = defaults[dial.path]
            else:
                break
        else:
            if taken:
                out.append(values)
    return out
