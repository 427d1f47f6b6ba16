"""One attempt: its recipe, why it began, its curve of points, why it ended and what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from tuneful.core.measure import Measure

AT_RANDOM = "drawn at random"
"""How the reason of a trial begins whose dials were drawn from the space by chance alone, whatever the other trials had come to."""

State = Literal["running", "paused", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Point:
    """What one validation saw.

    step: optimizer steps so far; epoch: the same in passes over train (may be a fraction); value: the objective's metric on
    valid; train_loss: mean over the steps since the last point; seconds: time of this trial so far, pauses not counted.
    """

    step: int
    epoch: float
    value: Measure
    train_loss: float
    valid_loss: float
    lr: float
    seconds: float
    notes: tuple[str, ...] = ()  # what happened on the way: micro-batch halved, precision changed

    def as_data(self) -> dict[str, Any]:
        """Plain data, one line of curve.jsonl."""
        return {
            "step": self.step, "epoch": self.epoch, "value": self.value.as_data(), "train_loss": self.train_loss,
            "valid_loss": self.valid_loss, "lr": self.lr, "seconds": self.seconds, "notes": list(self.notes),
        }  # fmt: skip

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Point:
        """The inverse of `as_data`."""
        epoch, train_loss, valid_loss, lr, seconds = (
            math.nan if data[k] is None else float(data[k]) for k in ("epoch", "train_loss", "valid_loss", "lr", "seconds")
        )
        value, notes = Measure.from_data(data["value"]), tuple(data.get("notes", ()))
        return Point(int(data["step"]), epoch, value, train_loss, valid_loss, lr, seconds, notes)


@dataclass(frozen=True)
class Trial:
    """One attempt of a study.

    recipe: plain data, as `Recipe.as_data` gives it; dials: the values that the study varied, {dotted path: value};
    because: why it was begun; ended_because: why it ended, "" while it has not; cost: seconds spent on it.
    """

    number: int
    recipe: Mapping[str, Any]
    dials: Mapping[str, Any]
    because: str
    curve: tuple[Point, ...] = ()
    state: State = "running"
    ended_because: str = ""
    cost: float = 0.0
    tags: Mapping[str, Any] = field(default_factory=dict[str, Any])

    # What decisions ask of every trial, again and again, is worked out once a trial: a changed one is another object.
    @cached_property
    def last(self) -> Point | None:
        """The newest point, or None before the first."""
        return self.curve[-1] if self.curve else None

    @cached_property
    def epoch(self) -> float:
        """How far it is."""
        return self.curve[-1].epoch if self.curve else 0.0

    @property
    def heir(self) -> bool:
        """Did it begin with the weights of another trial? Then its recipe alone does not train it again."""
        return "parent" in self.tags or "grown" in self.tags

    @cached_property
    def goal(self) -> float:
        """How many epochs it was last asked to reach."""
        return float(self.tags["until"])

    @cached_property
    def pace(self) -> float:
        """Seconds that an epoch of it takes; 0 before its first point."""
        return self.curve[-1].seconds / max(self.curve[-1].epoch, 1e-9) if self.curve else 0.0
