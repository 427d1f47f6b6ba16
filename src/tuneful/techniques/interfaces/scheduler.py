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
    """What to do next: train `trial` (None: a new one) until it has `epochs` epochs. parent: the trial of which a new one is a copy, as it
    is now, with other rates; replaces: the one in whose place it begins."""

    trial: int | None
    epochs: float
    because: str
    parent: int | None = None
    replaces: int | None = None


class Scheduler(Technique):
    """Says which trial gets the next epochs."""

    family: ClassVar[str] = "scheduler"

    @abstractmethod
    def next(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step | None:
        """What to do next, given all trials so far; epochs is the length of a full run. None: nothing before those that run have come
        to the lengths that they are on their way to. It depends on the trials alone, and not on their order."""

    def closing(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step | None:
        """The same where no new trial can begin any more and none is running; a step without a trial, or none, where nothing is left."""
        return self.next(trials, objective, epochs)

    def waiting(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> dict[int, str]:
        """Why each paused trial waits, in words, by its number."""
        return {trial.number: "the time for searching was over" for trial in trials if trial.state == "paused"}
