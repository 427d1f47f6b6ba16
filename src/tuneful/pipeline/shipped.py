"""What a finished run has shipped: the trial that was taken, and its network as torch has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tuneful.core.budget import Clock
from tuneful.core.space import Space
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.core.trial import Trial
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.confirm import Confirmation
from tuneful.pipeline.job import Job
from tuneful.pipeline.refit import taken
from tuneful.pipeline.transfer import Transfer
from tuneful.pipeline.tune import Search


def shipped(
    job: Job, study: Study, task: Task, evidence: Mapping[str, Any], *, model: Any = None, device: str | None = None
) -> tuple[Trial, Candidate]:
    """The trial and the network that the evidence tells of, trained anew where its state is damaged or gone. model: the user's own network,
    where it is in no file."""
    recipe, clock = from_data(json.loads(study.about["recipe"])), Clock(job.budget)
    again = Confirmation(study, task, recipe, clock, device=device, model=model)
    search = Search(study, task, recipe, Space(), clock, model=model, device=device)
    trial, candidate = taken(again, search, evidence)
    if (proxy := job.transfer) is not None:
        grown = Transfer(proxy, study, task, recipe, Space(), clock, device=device, model=model)
        return trial, grown.candidate(trial)
    return trial, candidate


__all__ = ["shipped"]
