"""Classes: one of two or more names for each example. Answers are probabilities, [N, L], by softmax."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from tuneful.core.form import Form
from tuneful.core.task import Task
from tuneful.pipeline.goals.goal import Goal, formed, mean_class


class Classes(Goal):
    answer: ClassVar[str] = "probabilities"
    metric: ClassVar[str] = "accuracy"
    watch: ClassVar[str] = "log_loss"
    loss: ClassVar[str] = "cross_entropy"
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "focal")
    blends: ClassVar[bool] = True

    def form(self, task: Task) -> Form:
        return formed(task, len(task.labels))

    def width(self, task: Task) -> tuple[int, ...]:
        return (len(task.labels),)

    def encode(self, task: Task, y: Tensor) -> Tensor:
        return y

    def back(self, task: Task) -> nn.Module:
        return nn.Identity()

    def link(self) -> nn.Module:
        return nn.Softmax(dim=-1)

    def mean(self, z_MB: Tensor, w_M: Tensor) -> Tensor:
        return mean_class(z_MB, w_M)

    def said(self, task: Task) -> str:
        return f"{task.kind} with {len(task.labels)} classes"


class Binary(Classes):
    metric: ClassVar[str] = "auroc"
