"""Token masking: words are replaced by the unknown word at random.

    each token that is no filling (0) becomes 1 with probability share

The network learns what the unknown word (1) means, which it otherwise meets first when it is used.

Source: Bowman et al., CoNLL 2016, section 3.1, arXiv:1511.06349 (words replaced by the unknown word).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tuneful.core.config import Share
from tuneful.core.form import FormKind
from tuneful.techniques.augments.tokens import FILLING, UNKNOWN, require_tokens
from tuneful.techniques.interfaces import Augment


class TokenMask(Augment):
    """No single word decides, and unknown words are met early."""

    source: ClassVar[str] = "Bowman et al., CoNLL 2016, arXiv:1511.06349"
    cost: ClassVar[str] = "one draw per token"
    serves: ClassVar[tuple[FormKind, ...]] = ("tokens",)

    kind: Literal["token_mask"] = "token_mask"
    share: Share = 0.1  # probability that a token is hidden

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """Which places are hidden: {"hidden": [B, T]}, bool."""
        return {"hidden": torch.rand(tuple(shape), generator=dice) < self.share}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Hide them in [B, T]; p is given back as it is."""
        require_tokens(x, self.kind)
        return x.masked_fill(drawn["hidden"].to(x.device) & (x != FILLING), UNKNOWN), p
