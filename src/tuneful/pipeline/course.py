"""What of a run moves with its steps: the rate, the momentum and the decay of every parameter group.

    rate = initial_lr * factor                        the group's own rate at factor 1
    momentum, decay = to + (own - to) * factor        the group's own value at factor 1, `to` at factor 0

A factor is the schedule's, times its reaction to the values of the objective so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import SIDES
from tuneful.techniques.schedules.follow import Setting, between, get, put_


class Course:
    """plan: the resolved recipe; optimizer: just built from it. Raises RecipeError where a schedule has nothing to move."""

    def __init__(self, plan: Any, optimizer: torch.optim.Optimizer) -> None:
        self.plan, self.optimizer = plan, optimizer
        self.sides: list[
            tuple[Setting, float, list[Any]]
        ] = []  # what moves beside the rate, to where, from each group's own
        for name in SIDES:
            setting: Any = name.removesuffix("_schedule")
            to = getattr(plan, f"{setting}_to")
            if getattr(plan, name) == "none":
                if to:
                    raise RecipeError(
                        f"{setting}_to is {to:g}, but {name} is none", f"say how it gets there, such as {name}=linear"
                    )
            elif setting != "batch":
                own = [get(group, setting) for group in optimizer.param_groups]
                if not any(own):
                    raise RecipeError(f"{name} has nothing to move: {setting} is 0", f"set {setting} to where it begins")
                self.sides.append((setting, to, own))
        self._schedule: Any = plan.schedule
        self._reactions: dict[str, float] = {}

    def react(self, values: Sequence[float], direction: Literal["max", "min"]) -> None:
        """Take note of all values of the objective so far."""
        for name in ("schedule", *(f"{setting}_schedule" for setting, _, _ in self.sides)):
            self._reactions[name] = getattr(self.plan, name).reaction(values, direction)

    def put_(self, step: int, steps: int) -> None:
        """Write what step 0 <= step < steps takes."""
        self.take_(self._schedule.factor(step, steps), step, steps)

    def take_(self, factor: float, step: int, steps: int) -> None:
        """The same where the schedule's factor is known: runs side by side may have one schedule."""
        factor *= self._reactions.get("schedule", 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        if not self.sides:
            return
        for setting, to, own in self.sides:
            factor = self._factor(f"{setting}_schedule", step, steps)
            for group, value in zip(self.optimizer.param_groups, own, strict=True):
                # What a group does not decay at all is not decayed later either.
                put_(group, setting, between(value, to, factor) if value else value)

    def _factor(self, name: str, step: int, steps: int) -> float:
        return getattr(self.plan, name).factor(step, steps) * self._reactions.get(name, 1.0)
