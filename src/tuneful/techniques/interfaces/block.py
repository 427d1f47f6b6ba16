"""What a part of a network derives from so that others may recognize it: blocks that add, and attention."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


class Residual(ABC):
    """A block of a network that adds branches to what enters it, y = x + branch(x), derives from this beside nn.Module, as in
    `class Block(nn.Module, Residual)`. By that it is recognized; torch's own Transformer layers are known without it."""

    @abstractmethod
    def ends(self) -> Sequence[nn.Module]:
        """Of each branch the last module with a weight (a norm's scale, a Linear, a convolution): while it is zero, and its
        bias, the branch gives nothing."""


class Attention(ABC):
    """A module that compares queries with keys derives from this, so that an init may change how (mup), as torch's."""

    head: int  # numbers of a query, and of a key, in one head
    scale: float  # what their product is multiplied by, 1 / sqrt(head) as built; forward() reads it at every call
