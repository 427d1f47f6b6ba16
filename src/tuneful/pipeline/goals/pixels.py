"""Pixels: a class for each pixel of an image (semantic segmentation). Probabilities, [N, H, W, L]; -1 is no target.

Models give logits as torch's networks do, [B, L, H, W]; what is around them puts the classes last, so that losses, metrics and
the exported graph see pixels as they see the places of a sequence.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from tuneful.core.form import Form
from tuneful.core.task import Task
from tuneful.pipeline.goals.classes import Classes
from tuneful.pipeline.goals.goal import formed


class ClassesLast(nn.Module):
    """[B, L, H, W] as [B, H, W, L]."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.inner = body

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).permute(0, 2, 3, 1)


class Pixels(Classes):
    metric: ClassVar[str] = "mean_iou"
    watch: ClassVar[str] = "pixel_log_loss"
    loss: ClassVar[str] = "dice"
    losses: ClassVar[tuple[str, ...]] = ("dice", "cross_entropy", "focal")
    blends: ClassVar[bool] = False

    def form(self, task: Task) -> Form:
        return formed(task, len(task.labels), "place")

    def width(self, task: Task) -> tuple[int, ...]:
        return (*task.shape[1:], len(task.labels))

    def around(self, task: Task, body: nn.Module) -> nn.Module:
        return ClassesLast(body)

    def said(self, task: Task) -> str:
        return f"{task.kind} into {len(task.labels)} classes of pixels"
