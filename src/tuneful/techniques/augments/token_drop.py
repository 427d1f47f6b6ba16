"""Token dropout: words are left out at random, and the rest moves together.

    each token that is no filling (0) is removed with probability share; what is freed at the end is filled with 0

The first token stays where all would go. Beside masking, the network cannot see that something is missing.

Source: Iyyer et al., ACL 2015, section 3.2 (word dropout).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Share
from tuneful.core.form import FormKind
from tuneful.techniques.augments.tokens import FILLING, require_tokens
from tuneful.techniques.interfaces import Augment


class TokenDrop(Augment):
    """No single word decides."""

    source: ClassVar[str] = "Iyyer et al., ACL 2015"
    cost: ClassVar[str] = "a sort of places per example"
    serves: ClassVar[tuple[FormKind, ...]] = ("tokens",)
    moves: ClassVar[bool] = True

    kind: Literal["token_drop"] = "token_drop"
    share: Share = 0.1  # probability that a token is removed

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """Which places are removed: {"gone": [B, T]}, bool."""
        return {"gone": torch.rand(tuple(shape), generator=dice) < self.share}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Shorten the sequences [B, T]; p is given back as it is."""
        require_tokens(x, self.kind)
        word = x != FILLING
        kept = word & ~drawn["gone"].to(x.device)
        first = word & (word.cumsum(1) == 1)
        kept = kept | (first & ~kept.any(1, keepdim=True))
        order = (~kept).to(torch.int8).argsort(dim=1, stable=True)  # what stays, in its order, before what goes
        return torch.where(kept.gather(1, order), x.gather(1, order), FILLING), p
