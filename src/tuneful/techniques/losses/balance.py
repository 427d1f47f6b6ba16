"""What the losses of classes share: rare classes may weigh more, places without a class weigh nothing.

    w_l = N / (L n_l)      n_l of N examples of train are of class l; so each class weighs the same in total

Source: King & Zeng, Political Analysis 9, 2001 (scikit-learn's class_weight="balanced").
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Balance = Literal["none", "classes"]
NOTHING = -1  # a target that is no class: a place that is filled up, or an example from outside


def class_weights(target: Tensor, classes: int) -> Tensor:
    """Weights [L], mean 1 over the examples, from class numbers of any shape; a class that does not occur has 0."""
    counts = torch.bincount(target[target != NOTHING].flatten(), minlength=classes).double()
    there = counts > 0
    weights = torch.where(there, counts.sum() / (there.sum() * counts.clamp(min=1)), 0.0)
    return weights.float()


def flat(z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [B, L], [B, T, L] or [B, H, W, L] as [N, L], with class numbers [N] or probabilities [N, L] beside them. A network may leave out
    places at the end where nobody in the batch has a target."""
    soft = target.is_floating_point()
    if z.ndim == 3 and target.ndim == 2 and z.shape[1] < target.shape[1]:
        target = target[:, : z.shape[1]]
    return z.flatten(0, -2), target.flatten(0, -2) if soft else target.flatten()


def mass(target: Tensor, balance: Tensor | None) -> Tensor:
    """How much the targets weigh together: examples (or places) that have a class, by the weight of their class."""
    if target.is_floating_point():
        each = target.flatten(0, -2)
        return each.sum() if balance is None else (each * balance).sum()
    there = target != NOTHING
    if balance is None:
        return there.sum()
    return F.embedding(target.clamp(min=0), balance.unsqueeze(-1)).squeeze(-1).mul(there).sum()


def even(target: Tensor, balance: Tensor | None) -> float | None:
    """What `mass` makes of each example, where they are class numbers without a gap, and classes weigh alike; else None."""
    plain = balance is None and not target.is_floating_point() and bool((target != NOTHING).all())
    return target.numel() / max(1, len(target)) if plain else None
