"""What a candidate says of examples: its network by torch, or its graph by onnxruntime where that is what will be shipped."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.candidate import Candidate
from tuneful.runtime.load import Session, fed, open_session

BATCH = 256  # examples that go through a graph at once
PIXELS = 1_000_000  # the same where each pixel has an answer


def said(task: Task, candidate: Candidate, x: NDArray[Any]) -> judge.Floats:
    """Answers as `judge.predict` gives them, float64: [N, L] probabilities, [N] values ..."""
    if candidate.graph is None:
        return judge.predict(candidate.network, x, kind=task.kind)
    return by_graph(task, open_session(candidate.graph), x)


def by_graph(task: Task, session: Session, x: NDArray[Any]) -> judge.Floats:
    """The same by a session."""
    pixels = int(np.prod(task.shape[1:])) if task.kind == "segmentation" else 1
    step = max(1, min(BATCH, PIXELS // pixels))
    parts = [np.asarray(session.run(None, {"x": fed(x[at : at + step])})[0]) for at in range(0, len(x), step)]
    return np.concatenate(parts).astype(np.float64)


__all__ = ["by_graph", "said"]
