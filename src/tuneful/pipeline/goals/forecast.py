"""Forecasts: the next H moments of M targets, [N, H * M], step by step. The network learns what changes since the last value.

    z = last + scale * body(x - last);   last: of each target, standardized;  scale: how far targets move in h steps, on train

Where the body gives zero, the forecast is the last value, which is hard to beat. Its inputs are seen from their last values too,
so that a level never met in train is nothing new; the calendar stays as it is.

Source: Zeng et al., AAAI 2023, arXiv:2205.13504 (NLinear: take the last value off, and add it again).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tuneful.core.task import Task
from tuneful.pipeline.goals.numbers import SeveralNumbers


class Anchored(nn.Module):
    """last + scale * body(x - last). x: [B, C, T] standardized, whose first `columns` channels are values, those of `targets`
    to be forecast; scale: [H * M]."""

    scale: Tensor

    def __init__(self, body: nn.Module, columns: int, targets: Sequence[int], scale: Tensor) -> None:
        super().__init__()
        self.inner, self.columns, self.targets = body, columns, list(targets)
        self.steps = len(scale) // len(self.targets)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        last = x[:, :, -1:]
        moved = torch.cat([x[:, : self.columns] - last[:, : self.columns], x[:, self.columns :]], dim=1)
        anchor = last[:, self.targets, 0].repeat(1, self.steps)
        return anchor + self.scale * self.inner(moved)


class Forecast(SeveralNumbers):
    metric: ClassVar[str] = "rmse"
    watch: ClassVar[str] = "mse"

    def around(self, task: Task, body: nn.Module) -> nn.Module:
        columns = [str(name) for name in task.schema["columns"]]
        targets = [columns.index(name) for name in task.schema["targets"]]
        last = np.tile(task.train.x[:, targets, -1], len(task.train.y[0]) // len(targets))
        moves = np.sqrt(np.mean((task.train.y - last).astype(np.float64) ** 2, axis=0)) / np.asarray(task.target["std"])
        scale = torch.from_numpy(np.maximum(moves, 1e-6)).float()
        return Anchored(body, len(columns), targets, scale)

    def block(self, task: Task) -> int:
        return 2 * int(task.schema["horizon"])

    def said(self, task: Task) -> str:
        schema = task.schema
        return f"forecasting of {task.target['name']}, {schema['horizon']} steps ahead from {schema['window']}"
