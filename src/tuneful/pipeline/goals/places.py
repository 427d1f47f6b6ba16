"""Places: an answer for each place of a sequence: its tag, or what comes next. Probabilities, [N, T, L]; -1 is no target.

Entities are tags numbered so that spans can be read from the numbers: 0 is outside, 2k + 1 begins type k, 2k + 2 continues it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from tuneful.core.form import Form
from tuneful.core.task import Task
from tuneful.pipeline.goals.classes import Classes
from tuneful.pipeline.goals.goal import formed


class Tags(Classes):
    metric: ClassVar[str] = "token_accuracy"
    watch: ClassVar[str] = "token_log_loss"
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy",)
    blends: ClassVar[bool] = False

    def form(self, task: Task) -> Form:
        return formed(task, len(task.labels), "place")

    def width(self, task: Task) -> tuple[int, ...]:
        return (task.shape[-1], len(task.labels))

    def said(self, task: Task) -> str:
        return f"{task.kind} with {len(task.labels)} tags"


class Entities(Tags):
    metric: ClassVar[str] = "entity_f1"


class Next(Tags):
    metric: ClassVar[str] = "bits_per_token"
    watch: ClassVar[str] = "bits_per_token"

    def form(self, task: Task) -> Form:
        return replace(formed(task, len(task.labels), "place"), causal=True)

    def said(self, task: Task) -> str:
        return f"what comes next, of {len(task.labels)} different tokens"
