"""A variant of a model: a candidate, how it came about, and what is measured of it as it will run: by onnxruntime, threads pinned.

Time is measured in turn with the original's (A B A B ...), so that what else the machine does meets both; the ratio is told with
its interval.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tuneful.core.errors import ModelError
from tuneful.core.measure import Measure, bootstrap
from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.export import export
from tuneful.pipeline.goals import form, goal
from tuneful.pipeline.improve.keep import Loss, data
from tuneful.pipeline.judge import Floats
from tuneful.pipeline.said import by_graph
from tuneful.pipeline.ship import weights
from tuneful.runtime.load import Session, fed, open_session
from tuneful.techniques.interfaces import Compressor
from tuneful.techniques.models.check import size

SECONDS, MOST, LEAST = 0.4, 100, 7  # for one batch size of one pair: time, and how often at most and at least
EACH = 3  # calls of which the shortest counts: whatever else the machine does can only add to it
SINGLE, MANY, MAPS = 1, 64, 8  # examples in a call: one, a batch, and a batch where each pixel has an answer


@dataclass(frozen=True)
class Variant:
    """name: for people, "original" for what it all began with; model: the ONNX file; answers: on valid; value: the objective
    there; milliseconds and ratio: by examples in a call, the ratio to the original's time; losses: against the original."""

    name: str
    candidate: Candidate
    steps: tuple[Compressor, ...]
    model: bytes
    answers: Floats
    value: Measure
    milliseconds: Mapping[int, Measure]
    ratio: Mapping[int, Measure] = field(default_factory=dict[int, Measure])
    losses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    multiply_adds: int | None = None  # of the network for one example, where that can be counted

    @property
    def kept(self) -> bool:
        """Is every loss shown to be within its margin?"""
        return all(one.kept for one in self.losses)

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return len(self.model)

    @property
    def batches(self) -> tuple[int, ...]:
        """The numbers of examples in a call that were timed: one, and several."""
        return tuple(self.milliseconds)

    def as_data(self) -> dict[str, Any]:
        """Plain data for evidence, reports and files."""
        return {
            "multiply_adds": self.multiply_adds,
            "name": self.name, "steps": [one.as_data() for one in self.steps], "kept": self.kept, "bytes": self.bytes,
            "value": self.value.as_data(), "losses": data(self.losses), "notes": list(self.notes), "seconds": round(self.seconds, 2),
            "milliseconds": {str(n): one.as_data() for n, one in self.milliseconds.items()},
            "ratio": {str(n): one.as_data() for n, one in self.ratio.items()},
        }  # fmt: skip

    def state(self) -> bytes:
        """The weights of the network as a safetensors file."""
        return weights(self.candidate.network)


def original(task: Task, candidate: Candidate) -> Variant:
    """The variant that nothing was done to. Raises ModelError when it cannot be exported."""
    began = time.monotonic()
    model = candidate.graph or export(candidate.network, task)
    session = open_session(model)
    times = timed(task, session, session)[0]
    answers = by_graph(task, session, task.valid.x)
    took = time.monotonic() - began
    return Variant(
        "original",
        candidate,
        (),
        model,
        answers,
        _value(task, answers),
        times,
        seconds=took,
        multiply_adds=counted(task, candidate),
    )


def counted(task: Task, candidate: Candidate) -> int | None:
    """Multiply-adds of a candidate's network for one example; None where it fails to be counted."""
    try:
        return size(candidate.network.body, form(task)).multiply_adds
    except ModelError:
        return None


def _value(task: Task, answers: Floats) -> Measure:
    if not np.isfinite(answers).all():
        return judge.nothing(len(task.valid))
    return judge.value(task.objective.metric, answers, task.valid.y, block=goal(task).block(task))


def measured(
    task: Task, candidate: Candidate, of: Variant
) -> tuple[bytes, Floats, Measure, dict[int, Measure], dict[int, Measure]]:
    """(model, answers on valid, objective, milliseconds, ratio to the original `of`) of a candidate as it would be shipped.

    Raises: ModelError when it cannot be exported, ArtifactError when onnxruntime cannot use it.
    """
    model = candidate.graph or export(candidate.network, task)
    session = open_session(model)
    answers = by_graph(task, session, task.valid.x)
    times, ratios = timed(task, session, open_session(of.model))
    return model, answers, _value(task, answers), times, ratios


def timed(task: Task, session: Session, against: Session) -> tuple[dict[int, Measure], dict[int, Measure]]:
    """Medians in milliseconds of one call, and ratios to the other session's, by examples in a call; both in turn on one thread."""
    times: dict[int, Measure] = {}
    ratios: dict[int, Measure] = {}
    for batch in (SINGLE, MAPS if task.kind == "segmentation" else MANY):
        x = {"x": fed(task.valid.x[np.arange(batch) % len(task.valid)])}
        pairs: list[tuple[float, float]] = []
        for one in (session, against):
            one.run(None, x)
        until = time.perf_counter() + SECONDS
        while len(pairs) < LEAST or (len(pairs) < MOST and time.perf_counter() < until):
            pairs.append((_shortest(session, x), _shortest(against, x)))
        ours, theirs = np.array(pairs).T
        found = bootstrap(ours, np.median, unit="ms")
        how = f"median of the shortest of {EACH} calls with {batch} examples on one thread, {found.how}"
        times[batch] = Measure(found.value, found.low, found.high, found.n, "ms", how)
        share = bootstrap(ours / theirs, np.median)
        ratios[batch] = Measure(share.value, share.low, share.high, share.n, "", f"median of paired calls, {share.how}")
    return times, ratios


def _shortest(session: Session, x: Any) -> float:
    times: list[float] = []
    for _ in range(EACH):
        began = time.perf_counter()
        session.run(None, x)
        times.append(time.perf_counter() - began)
    return 1e3 * min(times)


__all__ = ["Variant", "counted", "measured", "original", "timed"]
