"""What networks of pairs share: how they read and write step by step, and how a batch is parted.

A network of your own that writes derives from `Writer` beside nn.Module.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from tuneful.core.errors import ModelError
from tuneful.core.form import Form


class Writer(ABC):
    """A network of pairs that writes a target token after token derives from this beside nn.Module. What forward() says of all
    places at once, given the target, these two say of one after the other; every tensor has the batch as its first axis."""

    @abstractmethod
    def read(self, source: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """What is made of sources [B, S] once: memory, which stays as it is, and what is carried from step to step."""

    @abstractmethod
    def step(self, token: Tensor, memory: Sequence[Tensor], carried: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The logits [B, V] of what follows a token [B] (first of all the edge), and what is carried on, in shapes that stay."""


def within(name: str, form: Form) -> None:
    """Raises ModelError where there is no target to write."""
    if form.each != "place" or not 0 < form.source < form.shape[0]:
        raise ModelError(f"model.{name} writes a target token by token; this task wants one answer for a pair")


def halves(x: Tensor, source: int, training: bool) -> tuple[Tensor, Tensor]:
    """The source and the target so far of pairs [B, S + T]. While training, places at the end that are filled up in the whole
    batch are left out: nobody has an answer there, and batches of like lengths then cost what they are long."""
    first, second = x[:, :source], x[:, source:]
    if not training:
        return first, second
    try:
        most = [max(1, int((half != 0).sum(1).max())) for half in (first, second)]
    except RuntimeError:  # in a stack (vmap) no length can be looked at
        return first, second
    return first[:, : most[0]], second[:, : most[1]]
