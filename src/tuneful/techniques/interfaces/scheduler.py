"""The shape of a scheduler: which trial of a search gets the next epochs, as a step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tuneful.techniques.interfaces.technique import Technique

if TYPE_CHECKING:
    from tuneful.core.task import Objective
    from tuneful.core.trial import Trial


@dataclass(frozen=True)
class Step:
    """What to do next: train `trial` (None: a new one) until it has `epochs` epochs."""

    trial: int | None
    epochs: float
    because: str


class Scheduler(Technique):
    """Says which trial gets the next epochs."""

    family: ClassVar[str] = "scheduler"

    @abstractmethod
    def next(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step:
        """What to do next, given all trials so far; epochs is the length of a full run."""
