"""Focal loss: cross-entropy that looks away from what is right already.

    loss = - sum_l w_l p_l (1 - q_l)^gamma log q_l,   q = softmax(z)

With gamma 0 it is cross-entropy. The mean is over the weight of the targets.
Source: Lin et al., ICCV 2017, eq. 5, arXiv:1708.02002 (there with a sigmoid; this is the form for several classes).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import NonNegative
from tuneful.techniques.interfaces import Loss
from tuneful.techniques.losses.balance import NOTHING, Balance, class_weights, even, flat, mass


class Focal(Loss):
    """For classes of which one is very common and easy."""

    source: ClassVar[str] = "Lin et al., ICCV 2017, arXiv:1708.02002"
    cost: ClassVar[str] = "nothing to speak of; probabilities come out less sure than they are"
    classes: ClassVar[bool] = True

    kind: Literal["focal"] = "focal"
    gamma: NonNegative = 2.0  # how far it looks away; 0 is cross-entropy
    balance: Balance = "none"  # "classes": rare classes weigh more, all the same in total

    def prepare(self, target: Tensor, outputs: int) -> Tensor | None:
        return class_weights(target, outputs) if self.balance == "classes" else None

    def weight(self, target: Tensor, prepared: Tensor | None) -> Tensor:
        return mass(target, prepared)

    def each(self, target: Tensor, prepared: Tensor | None) -> float | None:
        return even(target, prepared)

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        z, target = flat(z, target)
        logs = z.log_softmax(dim=-1)
        # -expm1 keeps 1 - q exact where q is near 1; the floor keeps the gradient of the power finite at 0.
        each = (-torch.expm1(logs)).clamp(min=1e-12) ** self.gamma * -logs
        if prepared is not None:
            each = each * prepared
        if target.is_floating_point():
            return (each * target).sum()
        there = target != NOTHING
        return each.gather(-1, target.clamp(min=0).unsqueeze(-1)).squeeze(-1).mul(there).sum()
