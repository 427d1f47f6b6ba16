"""A trial of ours as a row of Optuna's storage, and back; and as samplers are to see it.

Of a trial the storage keeps, as attributes: `begun` (what it is), `now` (where it stands) and its curve in chunks of 64 points. Its
parameters and the value of its newest point are where Optuna has them, so that optuna-dashboard shows them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneful.core.errors import StudyError
from tuneful.core.trial import Point, State, Trial

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

CHUNK = 64  # points of a curve in one attribute
KEPT = (
    "resumed",
    "until",
    "by",
    "legs",
    "deaths",
    "had",
    "arm",
    "parent",
    "grown",
    "costs",
)  # of where it stands, what a trial's tags tell


def chunk(number: int) -> str:
    """The attribute that holds a chunk of a curve."""
    return f"curve:{number:06d}"


def chunks(curve: tuple[Point, ...], since: int) -> dict[str, str]:
    """The attributes that hold a curve, from the chunk of point number `since` on."""
    first = since // CHUNK
    return {
        chunk(k): json.dumps([point.as_data() for point in curve[k * CHUNK : (k + 1) * CHUNK]], separators=(",", ":"))
        for k in range(first, -(-len(curve) // CHUNK))
    }


def read(found: FrozenTrial) -> Trial:
    """What the storage says of a trial."""
    marks = found.user_attrs
    begun, now = marks["begun"], marks.get("now", {})
    points = [json.loads(marks[name]) for name in sorted(marks) if name.startswith("point:")]  # of format 1
    for name in sorted(name for name in marks if name.startswith("curve:")):
        points += json.loads(marks[name])
    return Trial(
        number=found.number,
        recipe=json.loads(begun["recipe"]),
        dials=begun["dials"],
        because=begun["because"],
        curve=tuple(Point.from_data(point) for point in points),
        state=now.get("state", "running"),
        ended_because=now.get("ended_because", ""),
        cost=float(now.get("cost", 0.0)),
        tags={"id": begun["id"], **{name: now[name] for name in KEPT if name in now}},
    )


def optuna_state(state: State) -> Any:
    """Optuna's word for a state. What waits counts as pruned, with the values that it has."""
    from optuna.trial import TrialState

    return {
        "running": TrialState.RUNNING,
        "paused": TrialState.PRUNED,
        "done": TrialState.COMPLETE,
        "stopped": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }[state]


def values(last: Point | None, state: State) -> list[float] | None:
    """The value of a trial in this state, as Optuna keeps it."""
    return [last.value.value] if last is not None and state == "done" else None


def shown(found: FrozenTrial, trial: Trial) -> FrozenTrial:
    """A trial as samplers are to see it. found: of the same trial, in any state."""
    out = copy.copy(found)
    out.state = optuna_state(trial.state)
    out.values = values(trial.last, trial.state)
    out.intermediate_values = {point.step: point.value.value for point in trial.curve}
    out.datetime_complete = found.datetime_start if out.state.is_finished() else None
    return out


def as_of(trial: Trial, decision: int) -> Trial:
    """A trial as it stood when the legs up to this decision had been run, and no other.

    Leg k of a trial is what decision number `legs[k][0]` had it trained, up to `legs[k][1]` epochs.
    """
    legs: list[list[float]] = list(trial.tags.get("legs", ()))
    if not legs or legs[-1][0] <= decision:
        return trial
    known = [leg for leg in legs if leg[0] <= decision]
    until = known[-1][1] if known else 0.0
    # A leg ends at the first point that is far enough, which may lie behind its end: points come at validations.
    end = next((k for k, point in enumerate(trial.curve) if point.epoch >= until * (1 - 1e-6)), len(trial.curve))
    curve = trial.curve[: end + 1] if known else ()
    tags: Mapping[str, Any] = {**trial.tags, "until": until}
    cost = curve[-1].seconds if curve else 0.0
    return Trial(trial.number, trial.recipe, trial.dials, trial.because, curve, "running", "", cost, tags)


def lasting(trial: Trial) -> dict[str, Any]:
    """Of its tags, what stays when it is not at work any more."""
    return {key: value for key, value in trial.tags.items() if key not in ("id", "by", "deaths", "had")}


def stub() -> FrozenTrial:
    """A trial that only takes a number."""
    from optuna.trial import TrialState, create_trial

    return create_trial(state=TrialState.FAIL)


def same(folder: Path, name: str, old: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Raises StudyError when a study of this name was made for something else."""
    if old["fingerprint"] != about["fingerprint"]:
        raise StudyError(
            f"the study {name} at {folder} was made for other data: "
            f"{old['task']} ({old['fingerprint'][:12]}), now {about['task']} ({about['fingerprint'][:12]})",
            "give this one another name with --name, or bring back its data",
        )
    if old["objective"] != about["objective"]:
        was, now = (
            [one["metric"], *one.get("also", ()), *one.get("where", ())] for one in (old["objective"], about["objective"])
        )
        raise StudyError(
            f"the study {name} optimizes {', '.join(was)}, now {', '.join(now)} is asked",
            "give this one another name with --name",
        )
    if old["space"] != about["space"]:
        keys = sorted({*old["space"], *about["space"]})
        changed = [f"{key}: {old['space'].get(key, 'fixed')} -> {about['space'].get(key, 'fixed')}" for key in keys
                   if old["space"].get(key) != about["space"].get(key)]  # fmt: skip
        raise StudyError(
            f"the study {name} searches another space: {'; '.join(changed)}",
            "give this one another name with --name, or ask for the same ranges",
        )


__all__ = ["as_of", "chunk", "chunks", "lasting", "optuna_state", "read", "same", "shown", "stub", "values"]
