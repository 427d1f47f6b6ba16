"""Labels: any number of names for each example. Answers are a probability each, [N, L], by sigmoid; from 0.5 on it is predicted."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from tuneful.core.form import Form
from tuneful.core.task import Task
from tuneful.pipeline.goals.goal import Goal, formed, mean_label


class Labels(Goal):
    answer: ClassVar[str] = "probabilities"
    metric: ClassVar[str] = "auroc"
    watch: ClassVar[str] = "log_loss"
    loss: ClassVar[str] = "binary_cross_entropy"
    losses: ClassVar[tuple[str, ...]] = ("binary_cross_entropy",)
    blends: ClassVar[bool] = False

    def form(self, task: Task) -> Form:
        return formed(task, len(task.labels))

    def width(self, task: Task) -> tuple[int, ...]:
        return (len(task.labels),)

    def encode(self, task: Task, y: Tensor) -> Tensor:
        return y.float()

    def back(self, task: Task) -> nn.Module:
        return nn.Identity()

    def link(self) -> nn.Module:
        return nn.Sigmoid()

    def mean(self, z_MB: Tensor, w_M: Tensor) -> Tensor:
        return mean_label(z_MB, w_M)

    def said(self, task: Task) -> str:
        return f"multilabel with {len(task.labels)} labels"
