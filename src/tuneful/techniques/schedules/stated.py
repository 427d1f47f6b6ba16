"""What all schedules share: how a length is stated, and the way into a torch scheduler.

    below 1:      a share; it stretches with the run
    1, 2, 3 ...:  steps; with `length` = n they are steps of a run of n steps, and stretch with the run as shares do

Shares are of what they are said to be of: of the run, or of what a warm-up leaves of it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field

from tuneful.core.config import Whole
from tuneful.techniques.interfaces import Schedule


def _share_or_steps(value: float) -> float:
    if value >= 1 and value != int(value):
        raise ValueError("it must be a share in [0, 1), or a whole number of steps")
    return value


Span = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_share_or_steps)]
OpenShare = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class Stated(Schedule):
    """A schedule whose lengths are shares or steps."""

    length: Whole = 0  # steps of the run that steps are stated for, to stretch with it; 0: they stay as they are

    def taken(self, span: float, whole: int, steps: int) -> float:
        """A span in steps: a share is of `whole`; steps are stretched to a run of `steps` when `length` says from what."""
        if span < 1:
            return span * whole
        return span * steps / self.length if self.length else span

    def build(
        self,
        optimizer: torch.optim.Optimizer,
        steps: int,
        setting: Literal["lr", "momentum", "decay"] = "lr",
        to: float = 0.0,
        direction: Literal["max", "min"] = "min",
    ) -> Any:
        """This schedule as a `torch.optim.lr_scheduler` object for a loop of your own; see `follow.Follow`."""
        from tuneful.techniques.schedules.follow import Follow

        return Follow(optimizer, self, steps, setting=setting, to=to, direction=direction)
