"""Goals: what each kind of task asks of a network, of its targets and of its answers."""

from __future__ import annotations

from collections.abc import Mapping

from tuneful.core.form import Form
from tuneful.core.task import Task
from tuneful.pipeline.goals.classes import Binary, Classes
from tuneful.pipeline.goals.forecast import Forecast
from tuneful.pipeline.goals.goal import Goal
from tuneful.pipeline.goals.labels import Labels
from tuneful.pipeline.goals.levels import Levels
from tuneful.pipeline.goals.numbers import Numbers, SeveralNumbers
from tuneful.pipeline.goals.openset import OpenSet
from tuneful.pipeline.goals.pairs import Sequences
from tuneful.pipeline.goals.pixels import Pixels
from tuneful.pipeline.goals.places import Entities, Next, Tags

GOALS: Mapping[str, Goal] = {
    "binary": Binary(),
    "multiclass": Classes(),
    "multilabel": Labels(),
    "ordinal": Levels(),
    "regression": Numbers(),
    "multiregression": SeveralNumbers(),
    "tagging": Tags(),
    "entities": Entities(),
    "language": Next(),
    "forecasting": Forecast(),
    "sequence_to_sequence": Sequences(),
    "segmentation": Pixels(),
    "openset": OpenSet(),
}
"""By the kind of the task."""


def goal(task: Task) -> Goal:
    """What this task asks for."""
    return GOALS[task.kind]


def form(task: Task) -> Form:
    """The two ends of a network for this task."""
    return goal(task).form(task)


__all__ = ["GOALS", "Goal", "form", "goal"]
