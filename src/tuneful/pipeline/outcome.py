"""What a comparison of optimizers found, from its tuning and its final runs to plain data for table, report and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tuneful.core.config import plain
from tuneful.core.recipe import Recipe
from tuneful.core.task import Objective, Task
from tuneful.core.trial import Point, Trial
from tuneful.pipeline.contenders import Contender
from tuneful.pipeline.goals import goal
from tuneful.pipeline.judge import Array, Floats
from tuneful.pipeline.kept import write_json
from tuneful.pipeline.standing import Scores, Standing, expected, scored, stand

FORMAT = 1


@dataclass(frozen=True)
class Tuned:
    """An optimizer and its tuning runs, in the order in which they began; () where the defaults are compared."""

    contender: Contender
    trials: tuple[Trial, ...] = ()

    @property
    def kind(self) -> str:
        """Of the optimizer."""
        return self.contender.kind

    @property
    def seconds(self) -> float:
        """What the tuning cost."""
        return sum(trial.cost for trial in self.trials)

    def values(self) -> list[float]:
        """The last value of each run; NaN of those that failed."""
        return [t.last.value.value if t.last and t.state != "failed" else math.nan for t in self.trials]

    def best(self, objective: Objective) -> Trial | None:
        """The run with the best last value, or None."""
        sign = 1.0 if objective.direction == "max" else -1.0
        rated = [(sign * value, -t.number, t) for t, value in zip(self.trials, self.values(), strict=True) if value == value]
        return max(rated)[2] if rated else None


@dataclass(frozen=True)
class Final:
    """One run of the tuned settings. answers: to the test examples, [N, ...]; None when it failed; beside: how many trained side by
    side, of whose seconds its own are a share."""

    curve: tuple[Point, ...]
    seconds: Mapping[str, float]
    steps: int
    ended: str
    answers: Floats | None
    beside: int = 1

    def write(self, folder: Path) -> None:
        """Keep it: final.json comes last and says that the rest is there."""
        if self.answers is not None:
            with (folder / "answers.part").open("wb") as file:
                np.save(file, self.answers)
            (folder / "answers.part").replace(folder / "answers.npy")
        told = {"curve": [point.as_data() for point in self.curve], "seconds": dict(self.seconds), "steps": self.steps}
        told |= {"ended": self.ended, "answers": self.answers is not None, "beside": self.beside}
        write_json(folder / "final.json", told)

    @staticmethod
    def read(folder: Path) -> Final:
        """The inverse of `write`."""
        told = json.loads((folder / "final.json").read_text(encoding="utf-8"))
        answers = np.load(folder / "answers.npy", allow_pickle=False) if told["answers"] else None
        curve = tuple(Point.from_data(point) for point in told["curve"])
        return Final(curve, told["seconds"], told["steps"], told["ended"], answers, told.get("beside", 1))


def outcome(
    task: Task, tuned: Sequence[Tuned], chosen: Sequence[Recipe], finals: Mapping[str, Sequence[Final]], y: Array
) -> dict[str, Any]:
    """Everything that a comparison tells; JSON without NaN. y: the targets of the test split."""
    metric, block = task.objective.metric, goal(task).block(task)
    unit = str(task.target.get("unit", "")) if task.kind == "regression" else ""
    whole = {kind: [run.answers for run in runs if run.answers is not None] for kind, runs in finals.items()}
    sound = {kind: answers for kind, answers in whole.items() if len(answers) == len(finals[kind])}
    scores = {kind: scored(metric, answers, y, block) for kind, answers in sound.items()}
    scores = {kind: one for kind, one in scores.items() if np.isfinite(one.seeds).all()}
    standing = stand(metric, scores, len(y), unit) if scores else None
    worst = _worst(tuned, task.objective)
    entries = [
        _entry(one, recipe, finals[one.kind], scores, standing, task.objective, worst)
        for one, recipe in zip(tuned, chosen, strict=True)
    ]
    place = {kind: at for at, kind in enumerate((*standing.tied, *_ordered(standing, task)))} if standing else {}
    entries.sort(key=lambda entry: place.get(entry["kind"], len(place)))
    return {
        "format": FORMAT, "headline": headline(task, standing, finals, len(y)), "task": task.summary(), "metric": metric,
        "direction": task.objective.direction, "leader": standing.leader if standing else "",
        "tied": list(standing.tied) if standing else [], "correction": standing.correction if standing else "",
        "pairs": [{"a": a, "b": b, "difference": pair.difference.as_data(), "p": _number(pair.p)}
                  for (a, b), pair in (standing.against if standing else {}).items()],
        "optimizers": entries, "notes": _notes(tuned, chosen, finals),
    }  # fmt: skip


def _ordered(standing: Standing, task: Task) -> list[str]:
    """Those behind, the best mean first."""
    sign = 1.0 if task.objective.direction == "max" else -1.0
    return sorted(standing.behind, key=lambda who: -sign * standing.quality[who].value)


def _entry(
    one: Tuned, recipe: Recipe, runs: Sequence[Final], scores: Mapping[str, Scores], standing: Standing | None,
    objective: Objective, worst: float,
) -> dict[str, Any]:  # fmt: skip
    kind = one.kind
    found: dict[str, Any] = {"kind": kind, "settings": _settings(one, recipe), "ranges": one.contender.space.as_data()}
    found["tuning"] = _tuning(one, objective, worst)
    found["steps"] = runs[0].steps
    found["step_ms"] = _number(1e3 * float(np.median([run.seconds["train"] / max(1, run.steps) for run in runs])))
    found["run_seconds"] = _number(float(np.median([sum(run.seconds.values()) for run in runs])))
    found["failed"] = [run.ended for run in runs if run.answers is None]
    found["curve"] = _curve(runs)
    if standing is None or kind not in scores:
        return found | {"test": None, "seeds": [], "difference": None, "p": None, "verdict": "failed", "behind": ""}
    pair = standing.against.get((kind, standing.leader))
    return found | {
        "test": standing.quality[kind].as_data(), "seeds": [float(v) for v in scores[kind].seeds],
        "difference": pair.difference.as_data() if pair else None, "p": _number(pair.p) if pair else None,
        "verdict": _verdict(kind, standing, len(runs)), "behind": standing.behind.get(kind, ""),
    }  # fmt: skip


def _verdict(kind: str, standing: Standing, seeds: int) -> str:
    if seeds == 1:
        return "not told apart"
    return "behind" if kind in standing.behind else "the best" if len(standing.tied) == 1 else "may be the best"


def _settings(one: Tuned, recipe: Recipe) -> dict[str, Any]:
    """What the tuning varied, as it chose it; the defaults of it where nothing was tuned."""
    return {dial.path: plain(recipe.get(dial.path)) for dial in one.contender.space}


def _tuning(one: Tuned, objective: Objective, worst: float) -> dict[str, Any]:
    """What the tuning cost and brought: the value on valid of the defaults, of the best, and to be expected after k runs."""
    if not one.trials:
        return {"runs": 0, "failed": 0, "seconds": 0.0, "default": None, "best": None, "expected": []}
    values = one.values()
    known = [value if value == value else worst for value in values]
    best = one.best(objective)
    return {
        "runs": len(values), "failed": sum(value != value for value in values), "seconds": round(one.seconds, 2),
        "default": _number(values[0]), "best": _number(best.last.value.value) if best and best.last else None,
        "expected": [_number(v) for v in expected(known[1:], len(known), known[0], objective.direction)],
        "values": [_number(value) for value in values],
    }  # fmt: skip


def _worst(tuned: Sequence[Tuned], objective: Objective) -> float:
    """What a run that failed counts as: the worst value that any run had."""
    values = [value for one in tuned for value in one.values() if value == value]
    return (min if objective.direction == "max" else max)(values) if values else math.nan


def _curve(runs: Sequence[Final]) -> list[dict[str, Any]]:
    """Means over the seeds at each validation: value on valid with the lowest and the highest, and the median of the seconds."""
    length = min(len(run.curve) for run in runs)
    found: list[dict[str, Any]] = []
    for k in range(length):
        points = [run.curve[k] for run in runs]
        values = [point.value.value for point in points]
        found.append({
            "step": points[0].step, "epoch": points[0].epoch, "seconds": round(float(np.median([p.seconds for p in points])), 4),
            "value": _number(float(np.mean(values))), "low": _number(min(values)), "high": _number(max(values)),
        })  # fmt: skip
    return found


def headline(task: Task, standing: Standing | None, finals: Mapping[str, Sequence[Final]], n: int) -> str:
    """The result in a sentence; a tie is called a tie."""
    metric = task.objective.metric.replace("_", " ")
    if standing is None:
        return f"No optimizer came to an end on {task.name}: the runs of all {len(finals)} failed."
    best, all_of = standing.leader, len(finals)
    q = standing.quality[best]
    seeds = len(finals[best])
    if seeds == 1:
        return f"One seed tells nothing apart: {best} has the best {metric} of {all_of} optimizers on {task.name}, {q.value:.4g}."
    reached = f"{metric} {q.value:.4g} [{q.low:.4g}, {q.high:.4g}] on {n} test examples, {seeds} seeds"
    others = [kind for kind in finals if kind not in standing.tied]
    if len(standing.tied) == 1 and others:
        return f"{best} is the best of {all_of} optimizers on {task.name}, with {reached}; every other is behind."
    also = " and ".join(filter(None, [", ".join(standing.tied[1:-1]), standing.tied[-1]]))
    told = f"{best} leads with {reached}, but ties with {also}"
    return f"On {task.name} {told}; behind {'is' if len(others) == 1 else 'are'} {', '.join(others)}." if others else (
        f"On {task.name} {'both' if all_of == 2 else f'all {all_of}'} optimizers tie: {told}."
    )  # fmt: skip


def _notes(tuned: Sequence[Tuned], chosen: Sequence[Recipe], finals: Mapping[str, Sequence[Final]]) -> list[str]:
    """What is not alike among the optimizers, in sentences."""
    notes: list[str] = []
    settled = [one.contender.recipe for one in tuned]
    for name, said in (("batch_size", "batches of"), ("schedule", "the schedule"), ("regularizers", "the regularizers")):
        values = {one.kind: _short(recipe.get(name)) for one, recipe in zip(tuned, settled, strict=True)}
        usual = max(values.values(), key=list(values.values()).count)
        for kind, value in values.items():
            if value != usual:
                notes.append(
                    f"{kind} has {said} {value or 'none'}, others {usual or 'none'}: it is chosen for the optimizer"
                )
    stacked = [kind for kind, runs in finals.items() if any(run.beside > 1 for run in runs)]
    if stacked:
        alone = [kind for kind in finals if kind not in stacked]
        also = f", those of {', '.join(alone)} one by one: compare them by steps" if alone else ""
        notes.append(f"seeds of {', '.join(stacked)} trained side by side, and a run's seconds are its share{also}")
    for one, recipe in zip(tuned, chosen, strict=True):
        kind = one.kind
        if getattr(recipe.optimizer, "closure", False):
            notes.append(f"{kind} takes the gradient more than once a step: compare it by seconds, not by steps")
        failed = [run.ended for run in finals[kind] if run.answers is None]
        if failed:
            notes.append(
                f"{kind} failed in {len(failed)} of {len(finals[kind])} final runs ({failed[0]}), so it is not compared"
            )
        if one.trials and one.best(Objective("accuracy", "max")) is None:
            notes.append(f"every tuning run of {kind} failed; its defaults ran")
    return notes


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(getattr(item, "kind", item)) for item in value)
    return str(getattr(value, "kind", value))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
