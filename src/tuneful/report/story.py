"""Everything that a report tells, as one frozen value. Parts that do not exist yet stay empty."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from tuneful.core.measure import Measure
from tuneful.core.trial import Trial
from tuneful.report.axis import Axis, of_values
from tuneful.report.words import AT_MOST_ONE, SMALLER_IS_BETTER, many, metric, table, whole

Condition = Literal["running", "interrupted", "done"]


@dataclass(frozen=True)
class Story:
    """What happened, from the data to the proof.

    title: the name of the run. headline: the result in one sentence; "" lets the report say it from what it knows.
    evidence: as in evidence.json; empty while nothing is proven. trials: in any order; one for a single run.
    task: `Task.summary()`. seconds: where the time went, {what: seconds}; evidence's own when empty.
    command: what reproduces it. condition: "interrupted" and "running" are said above everything else.
    notes: what the reader should know of how it went, such as "resumed on 3 May after kill -9; nothing was lost".
    made_at: when the report was written, ISO 8601.
    """

    title: str
    headline: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trials: tuple[Trial, ...] = ()
    task: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    command: str = ""
    notes: tuple[str, ...] = ()
    condition: Condition = "done"
    made_at: str = ""

    @property
    def metric(self) -> str:
        """The objective's metric, or "" when the task does not say."""
        return str(table(self.facts.get("objective")).get("metric", ""))

    @property
    def facts(self) -> Mapping[str, Any]:
        """The summary of the task: the story's own, else the evidence's."""
        return self.task or table(self.evidence.get("task"))

    @property
    def smaller(self) -> bool:
        """Is a smaller value a better one?"""
        direction = table(self.facts.get("objective")).get("direction")
        return direction == "min" if direction in ("min", "max") else self.metric in SMALLER_IS_BETTER

    def axis(self, values: Iterable[float], reach: float = 1.5, pad: float = 0.03, keep: Iterable[float] = ()) -> Axis:
        """An axis for values of the objective."""
        return of_values(values, self.smaller, self.metric in AT_MOST_ONE, reach, pad, keep)

    @cached_property
    def ranked(self) -> tuple[Trial, ...]:
        """Trials, the best first; those that failed or have no finite value come last, in the order of their numbers."""

        def key(trial: Trial) -> tuple[bool, bool, float, int]:
            value = worth(trial)
            known = value is not None
            merit = (value.value if self.smaller else -value.value) if value is not None else 0.0
            return trial.state == "failed", not known, merit, trial.number

        return tuple(sorted(self.trials, key=key))

    @property
    def best(self) -> Trial | None:
        """The trial in the lead, or None while none has a value."""
        first = self.ranked[0] if self.ranked else None
        return first if first is not None and first.state != "failed" and worth(first) is not None else None

    @property
    def states(self) -> Counter[str]:
        """How many trials are in each state."""
        return Counter(trial.state for trial in self.trials)

    def headlines(self) -> list[str]:
        """The first line of the report, and what stands below it. When the baseline wins, that is the first line."""
        told = self.headline or str(self.evidence.get("headline", ""))
        against = table(self.evidence.get("against_baseline"))
        if against.get("verdict") == "worse" and "baseline" not in told.casefold():
            name = against.get("baseline", "a simple model")
            lost = f"The baseline wins: {name} beat the best model that was found."
            return [lost, told] if told else [lost]
        return [told or self._so_far()]

    def _so_far(self) -> str:
        if self.best is None:
            if not self.trials:
                return "Nothing has been tried yet."
            if self.states["failed"] == len(self.trials):
                return f"{'The only trial' if len(self.trials) == 1 else f'All {len(self.trials):,} trials'} failed, so there is no result."
            return f"{many(len(self.trials), 'trial')} so far, and none has a value yet."
        value = worth(self.best)
        reached = f"{metric(self.metric)} {whole(value)} on the validation split" if value else ""
        if len(self.trials) == 1:
            return f"This run reaches {reached}."
        return f"The best of {many(len(self.trials), 'trial')} reaches {reached}."


def worth(trial: Trial) -> Measure | None:
    """The trial's value: that of its newest point, when it is finite."""
    last = trial.last
    return last.value if last is not None and math.isfinite(last.value.value) else None
