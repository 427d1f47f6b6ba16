"""What the story of a job is told in: its stages, and its result; and where runs lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneful.core.artifact import Artifact
from tuneful.core.task import Task
from tuneful.core.trial import Trial
from tuneful.pipeline.candidate import Candidate


@dataclass(frozen=True)
class Stage:
    """One part of the story begins. said: a sentence about it."""

    name: str
    said: str


@dataclass(frozen=True)
class Result:
    """What came of it. artifact is None where nothing was shipped, and evidence then says why."""

    folder: Path
    task: Task
    trial: Trial
    candidate: Candidate
    evidence: Mapping[str, Any]
    artifact: Artifact | None
    report: Path
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        return str(self.evidence["headline"])


def home() -> Path:
    """Where runs lie: $TUNEFUL_HOME, or runs/ here."""
    return Path(os.environ.get("TUNEFUL_HOME") or "runs")


__all__ = ["Result", "Stage", "home"]
