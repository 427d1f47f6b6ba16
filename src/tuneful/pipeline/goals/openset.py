"""Open sets: one of several names for each example, or none of them. Answers are the probabilities of the names, [N, L], by softmax.

What is exported has a column more, log sum exp of the logits ("energy"): with the probabilities it gives back the logits, from
which `runtime.openset` tells how well an example is known. The network is never taught a class of its own for what is outside:
that would be the class of the outsiders of train, and others come (LOG.md).

Source: Hendrycks & Gimpel, ICLR 2017, arXiv:1610.02136 (the most probable class's probability as a score).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from tuneful.core.task import Task
from tuneful.pipeline.goals.classes import Classes


class WithEnergy(nn.Module):
    """Logits [B, L] -> probabilities and energy, [B, L + 1]."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([torch.softmax(z, dim=-1), torch.logsumexp(z, dim=-1, keepdim=True)], dim=-1)


class OpenSet(Classes):
    answer: ClassVar[str] = "probabilities_and_energy"
    joins: ClassVar[bool] = False  # a mean of probabilities has no energy

    def told(self) -> nn.Module:
        return WithEnergy()

    def said(self, task: Task) -> str:
        beside = ", ".join(f"{n} {split}" for split, n in task.outsiders().items())
        return f"openset: {len(task.labels)} classes, and examples of none of them ({beside})"
