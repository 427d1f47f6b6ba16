"""The shape of a loss: a sum and a weight, whose ratio training makes small."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from tuneful.techniques.interfaces.technique import Technique

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Technique):
    """What training makes small: a mean over the weight of the targets.

        prepared = loss.prepare(all targets of train, outputs)      # once
        mean = loss.total(z, target, prepared) / loss.weight(target, prepared)

    Total and weight stand apart so that unequal micro-batches and shards add up to the mean over the whole batch.
    """

    family: ClassVar[str] = "loss"
    classes: ClassVar[bool] = False  # are targets classes (numbers or probabilities) rather than values?

    def prepare(self, target: Tensor, outputs: int) -> Tensor | None:
        """What is learned from all targets of train, once: weights of classes [outputs], or None."""
        return None

    def weight(self, target: Tensor, prepared: Tensor | None) -> Tensor:
        """How much these targets weigh together, a scalar; here how many numbers they are."""
        return target.new_tensor(float(target.numel()))

    def each(self, target: Tensor, prepared: Tensor | None) -> float | None:
        """What each of these examples weighs where all are known to weigh alike, so that a batch of them need not be looked at;
        None where they do not, or where nobody has thought of it."""
        return target.numel() / max(1, len(target)) if type(self).weight is Loss.weight else None

    @abstractmethod
    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        """The sum over the batch, a scalar. z: what the body gives, float32 [B, L], [B, T, L] or [B, H, W, L]; target: class
        numbers [B], [B, T] or [B, H, W] (-1: none), probabilities [B, L], or standardized values [B, M]."""
