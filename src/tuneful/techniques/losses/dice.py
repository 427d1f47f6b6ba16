"""Dice: cross-entropy at each pixel, and beside it how little what is said of a class lies over the class itself.

    dice_bl = (2 sum_hw q p + 1) / (sum_hw q + sum_hw p + 1)      of image b and class l; q = softmax(z), p one-hot
    loss_b  = (1 - share) mean_hw(- log q_true) + share (1 - mean_l dice_bl)

The mean over l is over all classes of more than two, and of two over the second alone, which stands before the first: there a
small thing counts as much as a large background. Both parts are means over an image, so micro-batches add up. A class that an
image does not have and that is not called in it has Dice 1, by the ones that are added (Laplace).

Source: Milletari et al., 3DV 2016, arXiv:1606.04797 (soft Dice; there with squares in the divisor); the sum with cross-entropy:
Isensee et al., Nature Methods 18, 2021 (nnU-Net).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tuneful.core.config import Share
from tuneful.techniques.interfaces import Loss
from tuneful.techniques.losses.balance import NOTHING


class Dice(Loss):
    """For masks, above all where what is sought covers little of the image."""

    source: ClassVar[str] = "Milletari et al., 3DV 2016, arXiv:1606.04797; Isensee et al., Nature Methods 18, 2021"
    cost: ClassVar[str] = "three passes over the probabilities of the pixels; these come out surer than they are"
    classes: ClassVar[bool] = True

    kind: Literal["dice"] = "dice"
    share: Share = 0.5  # how much Dice counts beside cross-entropy; 0 is cross-entropy alone

    def weight(self, target: Tensor, prepared: Tensor | None) -> Tensor:
        return (target != NOTHING).flatten(1).any(1).sum()

    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        z_BNL, y_BN = z.flatten(1, -2), target.flatten(1)
        there_BN = y_BN != NOTHING
        logs_BNL = z_BNL.log_softmax(-1)
        true_BN = y_BN.clamp(min=0)
        known_BN = there_BN.to(z.dtype)
        count_B = known_BN.sum(1)
        surprise_B = -(logs_BNL.gather(-1, true_BN[..., None])[..., 0] * known_BN).sum(1) / count_B.clamp(min=1)
        q_BNL = logs_BNL.exp() * known_BN[..., None]
        p_BNL = F.one_hot(true_BN, z.shape[-1]).to(z.dtype) * known_BN[..., None]
        dice_BL = (2 * (q_BNL * p_BNL).sum(1) + 1) / (q_BNL.sum(1) + p_BNL.sum(1) + 1)
        dice_B = dice_BL[:, 1] if z.shape[-1] == 2 else dice_BL.mean(1)
        each_B = (1 - self.share) * surprise_B + self.share * (1 - dice_B)
        return torch.where(count_B > 0, each_B, 0.0).sum()
