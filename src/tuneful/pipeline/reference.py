"""How inputs and answers of a task are distributed, as reference.json tells it: counted on the way out, for telling drift later."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.task import Split, Task
from tuneful.pipeline.goals import goal
from tuneful.runtime import answers, reference
from tuneful.runtime.features import of_answers, of_input
from tuneful.runtime.load import Session, fed

INPUTS = 20_000  # examples of train that are looked at, evenly spaced,
NUMBERS = 20_000_000  # and fewer where they are large
ANSWERS = 2_000  # of valid
_AT_ONCE = 64


def referred(task: Task, session: Session | None, rule: dict[str, Any] | None = None) -> dict[str, Any]:
    """What reference.json holds.

    Args:
        session: of the exported network, whose answers are told; None where texts are written, whose answers are not.
        rule: of an open set, when the model abstains.

    Cost: 2000 examples through the network, and some hundredths of a second a million numbers.
    """
    size = max(1, int(np.prod(task.shape)))
    rows = _spaced(len(task.train), min(INPUTS, max(100, NUMBERS // size)))
    x = np.asarray(task.train.x[rows])
    told: dict[str, Any] = {
        "format": reference.FORMAT,
        "inputs": {"split": "train", "of": len(task.train), "n": len(rows),
                   "features": reference.described(of_input(task.schema, x))},
    }  # fmt: skip
    return told if session is None else told | {"answers": _answers(task, task.valid, session, rule, size)}


def _answers(task: Task, split: Split, session: Session, rule: dict[str, Any] | None, size: int) -> dict[str, Any]:
    pixels = task.kind in answers.PIXELS
    rows = _spaced(len(split), min(ANSWERS, 64 if pixels else max(100, NUMBERS // size)))
    step = 8 if pixels else _AT_ONCE
    x = np.asarray(split.x[rows])
    told: NDArray[Any] = np.concatenate(
        [np.asarray(session.run(None, {"x": fed(x[at : at + step])})[0]) for at in range(0, len(x), step)]
    )
    lengths = (x != 0).sum(axis=1) if task.kind in answers.PLACES else None
    names = [str(name) for name in task.target.get("columns", ())]
    if task.kind == "forecasting":
        names = [str(name) for name in task.schema["targets"]]
    found: dict[str, Any] = {
        "split": "valid", "of": len(split), "n": len(rows),
        "features": reference.described(of_answers(task.kind, task.labels, names, told, lengths, rule)),
    }  # fmt: skip
    if goal(task).answer == "value" or not (pixels or task.kind in answers.PLACES):
        found["sample"] = reference.sample(told, np.asarray(split.y[rows]))
    return found


def _spaced(of: int, most: int) -> NDArray[Any]:
    return np.unique(np.linspace(0, of - 1, min(most, of)).astype(int))


__all__ = ["referred"]
