"""Swap: cells of a table take the value of another row of the batch.

    x'[i, j] = x[s(i), j] with probability share, for each cell;  s a permutation of the rows

The values stay such as the column really has, unlike those with noise added. Columns that stand for one category together are
swapped together, where the data say which they are.

Source: Bahri et al., ICLR 2022, section 3, arXiv:2106.15147 (SCARF: cells replaced by draws from their column).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from tuneful.core.config import Count, Share
from tuneful.core.errors import RecipeError
from tuneful.core.form import Form, FormKind
from tuneful.techniques.interfaces import Augment

Columns = Annotated[tuple[Count, ...], Field(strict=False)]


class Swap(Augment):
    """No single column decides."""

    source: ClassVar[str] = "Bahri et al., ICLR 2022, arXiv:2106.15147"
    cost: ClassVar[str] = "two copies of the batch and one draw per cell"
    serves: ClassVar[tuple[FormKind, ...]] = ("vector",)
    partners: ClassVar[tuple[str, ...]] = ("partner",)

    kind: Literal["swap"] = "swap"
    share: Share = 0.1  # probability that a cell is swapped
    columns: Columns = ()  # how many columns belong together, in their order; none named: as the data say

    def fitted(self, form: Form) -> Swap:
        """With the columns that belong together, where they are known and not set."""
        return self if self.columns or not form.groups else self.replace(columns=form.groups)

    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """A partner for each row, and which of its cells are taken."""
        if len(shape) != 2:
            raise RecipeError(
                f"swap exchanges cells of tables; it was given a batch of shape {list(shape)}, not [B, D]",
                "leave swap out for data that are no tables",
            )
        B, D = shape
        sizes = self.columns or (1,) * D
        if sum(sizes) != D:
            raise RecipeError(
                f"augments.swap.columns adds up to {sum(sizes)}; the rows have {D} columns", "leave swap.columns out"
            )
        taken = torch.rand(B, len(sizes), generator=dice) < self.share
        taken = taken.repeat_interleave(torch.tensor(sizes), dim=1)
        return {"partner": torch.randperm(B, generator=dice), "taken": taken}

    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Swap cells of [B, D]; p is given back as it is."""
        return torch.where(drawn["taken"].to(x.device), x[drawn["partner"].to(x.device)], x), p
