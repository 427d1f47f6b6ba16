"""Numbers: a value for each example, [N], in the target's own unit, or several, [N, M]. The network learns them standardized."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tuneful.core.form import Form
from tuneful.core.task import Task
from tuneful.pipeline.goals.goal import Goal, formed


class Rescale(nn.Module):
    """z * std + mean: standardized targets [B, M] back in their own units; mean and std are numbers or [M]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Any, std: Any) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32))

    def forward(self, z: Tensor) -> Tensor:
        return z * self.std + self.mean


class Single(nn.Module):
    """[B, 1] as [B]."""

    def forward(self, z: Tensor) -> Tensor:
        return z.squeeze(-1)


class Numbers(Goal):
    answer: ClassVar[str] = "value"
    metric: ClassVar[str] = "rmse"
    watch: ClassVar[str] = "mse"
    loss: ClassVar[str] = "mse"
    losses: ClassVar[tuple[str, ...]] = ("mse", "mae", "huber", "quantile")
    blends: ClassVar[bool] = False

    def form(self, task: Task) -> Form:
        return formed(task, 1)

    def width(self, task: Task) -> tuple[int, ...]:
        return ()

    def encode(self, task: Task, y: Tensor) -> Tensor:
        return ((y.float() - task.target["mean"]) / task.target["std"]).unsqueeze(1)

    def back(self, task: Task) -> nn.Module:
        return Rescale(task.target["mean"], task.target["std"])

    def link(self) -> nn.Module:
        return Single()

    def said(self, task: Task) -> str:
        return f"regression of {task.target.get('name', 'y')}"


class SeveralNumbers(Numbers):
    """Several values for each example, [N, M], each standardized by itself, so that none drowns the others."""

    metric: ClassVar[str] = "r2_mean"
    watch: ClassVar[str] = "rmse_scaled"

    def form(self, task: Task) -> Form:
        return formed(task, task.outputs)

    def width(self, task: Task) -> tuple[int, ...]:
        return (task.outputs,)

    def encode(self, task: Task, y: Tensor) -> Tensor:
        mean, std = (torch.tensor(task.target[key], dtype=torch.float32, device=y.device) for key in ("mean", "std"))
        return (y.float() - mean) / std

    def link(self) -> nn.Module:
        return nn.Identity()

    def said(self, task: Task) -> str:
        return f"regression of {task.outputs} targets ({task.target.get('name', 'y')})"
