"""The run that is to be improved: its task with the test split shut, and the candidate that it shipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneful.core.config import Settings
from tuneful.core.errors import ModelError, StudyError
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.core.trial import Trial
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.goals import goal
from tuneful.pipeline.job import Job
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.refit import BOTH
from tuneful.pipeline.shipped import shipped


@dataclass(frozen=True)
class Origin:
    """What a run holds that is needed to go on from it. evidence: what was proven of the candidate."""

    folder: Path
    task: Task
    study: Study
    trial: Trial
    candidate: Candidate
    evidence: Mapping[str, Any]


def opened(folder: Path, model: Settings | None = None) -> Origin:
    """Open a finished run. model: the user's own network, where the run was made with one that cannot be found by its name.

    Raises: StudyError when it is not finished or its data has changed, ModelError for a kind of task that cannot be improved yet.
    """
    proof = folder / "evidence.json"
    if not proof.is_file():
        raise StudyError(f"{folder} has no proven model yet", f"`tuneful resume {folder}` goes on until it has one")
    job, study = Job.read(folder), Study.open(folder)
    task = prepare(job.source, **job.reading)
    if study.about["fingerprint"] != task.fingerprint:
        raise StudyError(f"the data of {folder} ({job.source}) has changed since it was searched", "bring back the data")
    if goal(task).writes or task.kind == "openset":
        raise ModelError(
            f"a model of kind {task.kind} cannot be improved yet",
            "all kinds can but sequence_to_sequence and openset; a smaller model= in the recipe is the way here",
        )
    task = task.logged_in(folder)
    try:
        evidence = json.loads(proof.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StudyError(f"{proof} is damaged ({error})", f"`tuneful resume {folder}` writes it again") from None
    if (joined := evidence.get("joined", {})).get("kind") == "ensemble":
        raise ModelError(
            f"{folder} holds an ensemble of {len(joined['members'])} networks, which cannot be improved yet",
            "search again with --no-ensemble, under another --name; a single network can be made smaller and faster",
        )
    if evidence.get("final", {}).get("on") == BOTH:
        raise ModelError(
            f"the network of {folder} was trained on train and valid, so that nothing is left to tell by whether a step harms it",
            "search again without --final, under another --name",
        )
    trial, candidate = shipped(job, study, task, evidence, model=model, device="cpu")
    return Origin(folder, task, study, trial, candidate, evidence)


__all__ = ["Origin", "opened"]
