"""Levels: one of several names that have an order. Answers are probabilities, [N, L], by cumulative logits."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from tuneful.core.form import Form
from tuneful.core.task import Task
from tuneful.pipeline.goals.classes import Classes
from tuneful.pipeline.goals.goal import formed, mean_label
from tuneful.techniques.losses.cumulative import falling, levels, rising


class Passing(nn.Module):
    """From what the network gives, [B, L - 1], to the probability of each level."""

    def forward(self, z: Tensor) -> Tensor:
        return levels(z)


class Levels(Classes):
    metric: ClassVar[str] = "kappa_quadratic"
    watch: ClassVar[str] = "rank_error"
    loss: ClassVar[str] = "cumulative"
    losses: ClassVar[tuple[str, ...]] = ("cumulative",)
    blends: ClassVar[bool] = False

    def form(self, task: Task) -> Form:
        return formed(task, len(task.labels) - 1)

    def link(self) -> nn.Module:
        return Passing()

    def mean(self, z_MB: Tensor, w_M: Tensor) -> Tensor:
        above = torch.stack([falling(z) for z in z_MB.unbind(0)])
        return rising(mean_label(above, w_M))

    def said(self, task: Task) -> str:
        return f"ordinal with {len(task.labels)} levels, {task.labels[0]} to {task.labels[-1]}"
