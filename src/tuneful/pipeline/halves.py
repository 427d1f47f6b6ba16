"""A network of pairs as two ONNX files: one reads a source, the other says what follows a token. Between them stands the search.

    model.onnx    x [N, S] int64 -> m0, m1 ... (memory), c0, c1 ... (what is carried)
    writer.onnx   token [N] int64, m0 ..., c0 ... -> logits [N, V], c0' ...

Both are held to torch on the validation split: the logits of each wanted token, and what is written letter by letter.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.core.measure import Measure, bootstrap, wilson
from tuneful.core.task import Task
from tuneful.pipeline.export import finished, traced
from tuneful.pipeline.goals.pairs import by_torch
from tuneful.runtime import writing
from tuneful.runtime.load import by_onnx, open_session
from tuneful.techniques.models import merged_

TOLERANCE = 1e-3  # of logits, which are about 10: 1e-4 of them
_ROWS, _SECONDS, _MOST, _LEAST = 256, 0.5, 100, 3


class Reading(nn.Module):
    """From sources to memory and what is carried, in one row of outputs."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        memory, carried = cast("Any", self.body).read(x)
        return (*memory, *carried)


class Stepping(nn.Module):
    """One token further. memory: how many of the tensors after the token are memory."""

    def __init__(self, body: nn.Module, memory: int) -> None:
        super().__init__()
        self.body, self.memory = body, memory

    def forward(self, token: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        logits, carried = cast("Any", self.body).step(token, list(rest[: self.memory]), list(rest[self.memory :]))
        return (logits.float(), *carried)


def plain(network: nn.Module) -> Any:
    """A copy of a network's body as it is exported: in eval mode, on the CPU, float32."""
    whole = cast("Any", merged_(copy.deepcopy(network)))
    return whole.body.to("cpu", torch.float32).eval().requires_grad_(False)


def halves(network: nn.Module, task: Task) -> dict[str, bytes]:
    """{"model.onnx", "writer.onnx"}. Raises ModelError as `export` does."""
    body, source = plain(network), int(task.schema["source"])
    x = torch.zeros(3, source, dtype=torch.int64)
    x[:, 0] = 3
    with torch.no_grad():
        memory, carried = body.read(x)
    names = [*(f"m{at}" for at in range(len(memory))), *(f"c{at}" for at in range(len(carried)))]
    read = traced(Reading(body), (x,), ["x"], names)
    token = torch.full((3,), 2, dtype=torch.int64)
    after = [f"{name}_next" for name in names[len(memory) :]]
    step = traced(Stepping(body, len(memory)), (token, *memory, *carried), ["token", *names], ["logits", *after])
    return {"model.onnx": finished(read), "writer.onnx": finished(step)}


def shipped(network: nn.Module, task: Task) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The two files, and what is to be told of the export: bytes, parity, latency. Raises ModelError when they differ from torch."""
    files = halves(network, task)
    sessions = open_session(files["model.onnx"]), open_session(files["writer.onnx"])
    found = {
        "bytes": sum(map(len, files.values())),
        "parity": parity(network, sessions, task),
        "latency": {str(batch): latency(sessions, task, batch).as_data() for batch in (1, 64)},
    }
    return files, found


def parity(network: nn.Module, sessions: Sequence[Any], task: Task) -> dict[str, Any]:
    """How far the files' logits lie from torch's along the wanted targets, and how many texts they write alike, letter by letter."""
    body, schema = plain(network), task.schema
    rows = np.unique(np.linspace(0, len(task.valid) - 1, min(_ROWS, len(task.valid))).astype(int))
    x = np.asarray(task.valid.x[rows]).astype(np.int64)
    source, target = x[:, : int(schema["source"])], x[:, int(schema["source"]) :]
    with torch.inference_mode():
        ours, theirs = by_torch(body, torch.device("cpu")), by_onnx(*sessions)
        largest = _apart(ours, theirs, source, target)
        length, beam = target.shape[1], int(schema.get("beam", 1))
        texts = [writing.written(*side, source, length, beam) for side in (ours, theirs)]
    same = int((texts[0] == texts[1]).all(axis=1).sum())
    if not largest <= TOLERANCE:
        raise ModelError(
            f"the exported model differs from torch by {largest:.2g} in its logits on {len(rows)} validation pairs; at most "
            f"{TOLERANCE:.2g} is allowed", "this network cannot be shipped; look for layers that act by chance in eval mode",
        )  # fmt: skip
    return {
        "rows": len(rows),
        "largest_difference": largest,
        "agreement": wilson(same, len(rows)).as_data(),
        "tolerance": TOLERANCE,
    }


def _apart(ours: Any, theirs: Any, source: NDArray[Any], target: NDArray[Any]) -> float:
    """The largest difference of logits along the wanted targets."""
    states = [side[0](source) for side in (ours, theirs)]
    largest = 0.0
    for at in range(target.shape[1]):
        there = target[:, at] != 0
        if not there.any():
            break
        logits: list[NDArray[Any]] = []
        for which, side in enumerate((ours, theirs)):
            said, carried = side[1](target[:, at], states[which][0], states[which][1])
            states[which] = (states[which][0], carried)
            logits.append(np.asarray(said, dtype=np.float64)[there])
        apart = np.abs(logits[0] - logits[1])
        largest = max(largest, float(np.max(apart)) if np.isfinite(apart).all() else float("nan"))
        if largest != largest:
            return largest
    return largest


def latency(sessions: Sequence[Any], task: Task, batch: int) -> Measure:
    """The median time of writing so many texts in milliseconds, on one thread, after warm-up."""
    schema: Mapping[str, Any] = task.schema
    size = int(schema["source"])
    source = np.asarray(task.valid.x[np.arange(batch) % len(task.valid), :size]).astype(np.int64)
    read, step = by_onnx(*sessions)
    length, beam = int(schema["shape"][0]) - size, int(schema.get("beam", 1))
    writing.written(read, step, source, length, beam)
    times: list[float] = []
    until = time.perf_counter() + _SECONDS
    while len(times) < _LEAST or (len(times) < _MOST and time.perf_counter() < until):
        start = time.perf_counter()
        writing.written(read, step, source, length, beam)
        times.append(1e3 * (time.perf_counter() - start))
    found = bootstrap(times, np.median, unit="ms")
    how = f"median of writing {batch} text{'s' if batch > 1 else ''} on one thread, {found.how}"
    return Measure(found.value, found.low, found.high, found.n, found.unit, how)


__all__ = ["Reading", "Stepping", "halves", "latency", "parity", "shipped"]
