"""A point that was chosen: proven on the test split, once, and sealed as an artifact like any other."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tuneful.core.artifact import Artifact
from tuneful.pipeline.goals import goal
from tuneful.pipeline.improve import points
from tuneful.pipeline.improve.keep import Limit, data, losses
from tuneful.pipeline.improve.opened import Origin
from tuneful.pipeline.kept import write_json
from tuneful.pipeline.prove import digest, prove
from tuneful.pipeline.said import said
from tuneful.pipeline.ship import ship
from tuneful.report.words import size


def sealed(origin: Origin, name: str, seconds: float) -> tuple[Artifact, dict[str, Any]]:
    """Prove and ship the point of this name. Returns (artifact, its evidence); the point must have been kept.

    The original answers the same test examples, and the paired differences stand in the evidence ("improved").
    """
    about, model, state = points.point(origin.folder, name)
    task = origin.task
    candidate = replace(origin.candidate, graph=model, notes=(*origin.candidate.notes, *about["notes"]))
    evidence = prove(task, candidate, seconds=seconds, reason=f"to prove the point {name} of {origin.folder.name}")
    split = task.test.open(f"to compare the point {name} with the original", digest(candidate))
    before, after = said(task, origin.candidate, split.x), said(task, candidate, split.x)
    limits = [Limit(one["metric"], one["most"], "") for one in about["losses"]]
    on_test = losses(limits, after, before, split.y, goal(task).block(task))
    begun = next(one for one in points.read(origin.folder)["points"] if one["name"] == "original")
    told = {**about, "original": begun, "on_test": data(on_test), "from": origin.evidence.get("of", "")}
    for key in ("label_errors", "command", "plan", "search", "confirmation"):
        if key in origin.evidence:
            evidence[key] = copy.deepcopy(origin.evidence[key])
    evidence["improved"] = told
    evidence["headline"] = f"{evidence['headline']} {sentence(told)}"
    place = origin.folder / points.FOLDER / name
    artifact = ship(task, candidate, evidence, place, state=state)
    evidence = dict(artifact.read("evidence.json"))
    write_json(origin.folder / points.FOLDER / f"{name}.json", evidence)
    return artifact, evidence


def sentence(told: Mapping[str, Any]) -> str:
    """What the steps brought and cost, in one sentence."""
    steps = ", ".join(str(one["kind"]) for one in told["steps"])
    part = told["bytes"] / told["original"]["bytes"]
    times = "; ".join(
        f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}] of its time for {n}" for n, one in told["ratio"].items()
    )
    on_test = [(one["metric"], one["difference"]) for one in told["on_test"]]
    cost = "; ".join(f"{metric} {d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]" for metric, d in on_test)
    return (
        f"Improved by {steps}: {part:.2f} of the original's size ({size(float(told['bytes']))}), {times} example(s); "
        f"on test, paired, + is better: {cost}."
    )


__all__ = ["sealed", "sentence"]
