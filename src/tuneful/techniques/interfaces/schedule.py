"""The shape of a schedule: a factor of the rate for every step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

from tuneful.techniques.interfaces.technique import Technique


class Schedule(Technique):
    """The learning rate over a run, as a factor of the optimizer's lr."""

    family: ClassVar[str] = "schedule"

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """The factor for step 0 <= step < steps of a run of `steps` steps. Stretches when steps change; never truncates."""

    def reaction(self, values: Sequence[float], direction: Literal["max", "min"]) -> float:
        """A further factor, from the values of the objective so far (one a validation, oldest first). A pure function, so that a
        resumed run decides as it would have; 1 where a schedule looks at none."""
        return 1.0
