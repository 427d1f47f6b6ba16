"""A proven candidate becomes an artifact: exported, compared with torch, timed, described, sealed.

    artifact = ship(task, candidate, evidence, folder)

Nothing is sealed unless the ONNX file gives the network's own answers on the validation split.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuneful.core.artifact import Artifact
from tuneful.core.errors import ModelError, ParityError
from tuneful.core.measure import Measure, bootstrap, wilson
from tuneful.core.task import Task
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.explain import explained
from tuneful.pipeline.export import OPSET, Served, export, named, served
from tuneful.pipeline.goals import goal
from tuneful.pipeline.halves import shipped
from tuneful.pipeline.judge import compare
from tuneful.pipeline.parting import parting
from tuneful.pipeline.reference import referred
from tuneful.pipeline.sealing import Owner, signing, whole
from tuneful.runtime.answers import PIXELS, PLACES
from tuneful.runtime.inputs import described
from tuneful.runtime.load import Session, fed, open_session
from tuneful.runtime.reference import FILE
from tuneful.runtime.signature import sign

TOLERANCE = 1e-4  # of the answers' scale: 1 for probabilities, the spread of the values for a regression
_ROWS, _LARGE = 1024, 256  # examples compared; fewer when one has more than 50 000 numbers,
_IMAGES, _AT_ONCE = 32, 8  # and still fewer, eight together, where each of their pixels has an answer
_SECONDS, _MOST, _LEAST = 0.2, 200, 5  # for one batch size: time, and how often at most and at least


def ship(
    task: Task, candidate: Candidate, evidence: Mapping[str, Any], folder: Path, *, reference: bool = True,
    state: bytes | None = None, owner: Owner | None = None, key: Path | None = None,
) -> Artifact:  # fmt: skip
    """Write the artifact of a candidate.

    evidence: what `prove` found; "export" is added to it in the artifact, the mapping itself is not changed.
    reference: shall the artifact tell how inputs and answers were distributed (`runtime.reference`)? Drift cannot be told without.
    state: the weights as a safetensors file; those of the network when None.
    owner: what only its owner can say of the model. key: a secret key to sign the artifact with (`runtime.signature`);
        $TUNEFUL_SIGN_KEY when None.

    Raises: ModelError when the network cannot be exported or its ONNX file answers otherwise than torch; StorageError when
    the disk is full. In both cases what lay in `folder` before is untouched.
    Cost:   about two seconds for a small network, and some more for the first export of a process.
    """
    session, rule = None, evidence.get("openset", {})
    if goal(task).writes:
        files, about = shipped(candidate.network, task)
    else:
        model = candidate.graph or export(candidate.network, task)
        model, explanation = explained(model, task, judged=candidate.graph is None)
        model = named(model, task.labels)
        before = resident()
        session, files = open_session(model), {"model.onnx": model}
        about = {
            "bytes": len(model),
            "explanation": explanation,
            "parity": parity(served(candidate.network, task.kind), session, task, candidate.graph is None),
            "latency": {
                str(batch): latency(session, task, batch).as_data()
                for batch in (1, _AT_ONCE if task.kind == "segmentation" else 64)
            },
            "memory": {
                "bytes": max(0, resident() - before),
                "how": "growth of the process from opening the file to its last call",
            },
        }
    told = {**evidence, "export": {"opset": OPSET, **about}}
    facts = preprocessing(task, rule)
    counted = referred(task, session, rule)
    files = {
        **files,
        "weights.safetensors": weights(candidate.network) if state is None else state,
        "preprocessing.json": facts,
        "labels.json": list(task.labels),
        "inputs.json": described(task.schema, task.shape, counted if reference else None),
        **({FILE: counted} if reference else {}),
    }
    artifact = whole(files, told, candidate.recipe.as_data(), folder, owner)
    if (key := key or signing()) is not None:
        sign(artifact, key)
    return artifact


def parity(network: Served, session: Session, task: Task, refuse: bool = True) -> dict[str, Any]:
    """How far the ONNX file's answers lie from torch's, on rows of the validation split. refuse: must they be the same, but for
    rounding? Not those of a graph that `improve` has changed, which is judged by its measures instead.

    Returns {"rows", "largest_difference", "agreement": share of rows with the same class (for a regression: with a value
    within the tolerance), "metric": its difference, "tolerance"}. Raises ParityError (exit 3) when the difference is above the
    tolerance or not a number, with the layer where the two part.
    """
    pixels = task.kind == "segmentation"
    limit, step = _ROWS if np.prod(task.shape) <= 50_000 else _LARGE, 64
    limit, step = (_IMAGES, _AT_ONCE) if pixels else (limit, step)
    rows = np.unique(np.linspace(0, len(task.valid) - 1, min(limit, len(task.valid))).astype(int))
    pairs = [_both(network, session, task.valid.x[rows[at : at + step]]) for at in range(0, len(rows), step)]
    ours, theirs = (np.concatenate([pair[i] for pair in pairs]).astype(np.float64) for i in (0, 1))
    told = ours, theirs
    if bad := int(np.sum(~np.isfinite(ours))):
        raise ModelError(
            f"the network gives {bad} of {ours.size} answers that are not finite on the validation split",
            "a model that diverged cannot be shipped; train with a lower learning rate",
        )
    if task.kind == "openset":  # energy as a share of its size
        size = np.maximum(1.0, np.abs(ours[:, -1:]).max())
        ours, theirs = (np.hstack([told[:, :-1], told[:, -1:] / size]) for told in (ours, theirs))
        tolerance = TOLERANCE
        same = int(np.sum(ours[:, :-1].argmax(axis=1) == theirs[:, :-1].argmax(axis=1)))
    elif goal(task).answer == "value":
        std = np.asarray(task.target.get("std", 0.0))  # of each target, where there are several
        scale = np.maximum(np.std(ours, axis=0), std)
        bound = TOLERANCE * scale + 16 * float(np.finfo(np.float32).eps) * np.max(np.abs(ours), axis=0)
        tolerance = float(np.max(bound))
        same = int(np.sum((np.abs(ours - theirs) <= bound).reshape(len(ours), -1).all(axis=1)))
        ours, theirs = ours / bound * tolerance, theirs / bound * tolerance  # as if all had the widest target's unit
    elif task.kind == "multilabel":
        tolerance = TOLERANCE
        same = int(np.sum(((ours >= 0.5) == (theirs >= 0.5)).all(axis=1)))
    else:
        tolerance = TOLERANCE
        same = int(np.sum((ours.argmax(axis=-1) == theirs.argmax(axis=-1)).reshape(len(ours), -1).all(axis=1)))
    largest = float(np.max(np.abs(ours - theirs)))
    if refuse and not largest <= tolerance:
        where = parting(network, np.asarray(task.valid.x[rows[:step]]))
        raise ParityError(
            f"the exported model differs from torch by {largest:.2g} on {len(rows)} validation rows ({same} of them agree); "
            f"at most {tolerance:.2g} is allowed{f'; {where}' if where else ''}",
            "this network cannot be shipped; look for layers that act by chance or by batch also in eval mode",
        )
    return {
        "rows": len(rows),
        "largest_difference": largest,
        "agreement": wilson(same, len(rows)).as_data(),
        "metric": _difference(task, told, rows),
        "tolerance": tolerance if refuse else None,
    }


def _difference(task: Task, told: tuple[Any, Any], rows: NDArray[Any]) -> dict[str, Any] | None:
    """By how much the metric of the file differs from that of the network, paired, + is better; None where answers are of places or
    pixels, whose metric is not one of rows."""
    if task.kind in (*PLACES, *PIXELS, "openset"):
        return None
    y = np.asarray(task.valid.y[rows])
    test = compare(task.objective.metric, told[1], told[0], y, block=goal(task).block(task))
    return {"name": task.objective.metric, "difference": test.difference.as_data()}


def _both(network: Served, session: Session, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    x = fed(x)
    with torch.no_grad():
        ours = network(torch.from_numpy(x)).numpy()
    return ours, np.asarray(session.run(None, {"x": x})[0])


def latency(session: Session, task: Task, batch: int) -> Measure:
    """The median time of one call in milliseconds, on the session's one thread, after warm-up. Takes about 0.25 s."""
    rows = np.arange(batch) % len(task.valid)
    x = fed(task.valid.x[rows])
    session.run(None, {"x": x})
    times: list[float] = []
    until = time.perf_counter() + _SECONDS
    while len(times) < _LEAST or (len(times) < _MOST and time.perf_counter() < until):
        start = time.perf_counter()
        session.run(None, {"x": x})
        times.append(1e3 * (time.perf_counter() - start))
    found = bootstrap(times, np.median, unit="ms")
    how = f"median of calls with {batch} rows on one thread, {found.how}"
    return Measure(found.value, found.low, found.high, found.n, found.unit, how)


def resident() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0


def preprocessing(task: Task, rule: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What preprocessing.json holds: how raw input becomes x, and what happens to x inside the network.

    rule: of an open set, when the model abstains."""
    return {
        "format": 1,
        "kind": task.kind,
        "shape": list(task.shape),
        "schema": dict(task.schema),
        "normalize": dict(task.normalize),  # inside model.onnx already; told, not to be done again
        "target": dict(task.target),  # likewise
        **({"openset": {key: rule[key] for key in ("score", "threshold", "coverage")}} if rule else {}),
    }


def weights(network: torch.nn.Module) -> bytes:
    """A network's state as a safetensors file. Tensors that share memory are written once each."""
    from safetensors.torch import save

    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    return save(state, {"format": "pt"})


__all__ = ["TOLERANCE", "latency", "parity", "preprocessing", "ship", "weights"]
