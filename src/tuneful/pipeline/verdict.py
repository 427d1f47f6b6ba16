"""What is said of the best trials of a search after they were run again: plain data for evidence and report, and a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuneful.core.measure import Measure, t_quantile
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.core.trial import Trial
from tuneful.pipeline.odds import Odds
from tuneful.pipeline.standing import Scores


@dataclass(frozen=True)
class Entrant:
    """A trial that is looked at again. seconds: what a full training takes; whole: has it been trained to its full length?"""

    trial: Trial
    recipe: Recipe
    seconds: float
    whole: bool


def told(
    numbers: Sequence[int], found: Odds, sound: Mapping[int, Scores], entrants: Mapping[int, Entrant], weights: Mapping[int, int],
    task: Task,
) -> dict[str, Any]:  # fmt: skip
    """The verdict as plain data."""
    seeds = len(sound[numbers[0]].seeds)
    sign = 1.0 if task.objective.direction == "max" else -1.0
    lines: list[dict[str, Any]] = []
    for at, number in enumerate(numbers):
        trial = entrants[number].trial
        reported = trial.last.value.value if trial.last else math.nan
        mean = float(sound[number].seeds.mean())
        lines.append({
            "trial": number, "whole": entrants[number].whole, "weights": weights.get(number), "reported": reported, "mean": mean,
            "seeds": [float(value) for value in sound[number].seeds], "quality": found.quality[at].as_data(),
            "chance": found.chance[at], "behind": found.behind[at].as_data(), "tied": found.tied[at],
        })  # fmt: skip
    # The best single run of all, were it believed: what it promised beyond the mean of fresh runs of the same recipe.
    whole = [line for line in lines if line["whole"]] or lines
    first = max(whole, key=lambda line: (sign * line["reported"], -line["trial"]))
    over = sign * (first["reported"] - first["mean"])
    half = t_quantile(found.freedom, 0.95) * found.noise / math.sqrt(seeds)
    optimism = Measure(
        over, over - half, over + half, seeds, found.quality[0].unit, "Student's t 95 % over fresh seeds, same examples"
    )
    chosen = lines[found.chosen]
    return {
        "seeds": seeds, "examples": len(task.valid), "metric": task.objective.metric, "candidates": lines, "chosen": chosen["trial"],
        "because": found.because, "luck": found.luck, "noise": found.noise,
        "optimism": {"trial": first["trial"], **optimism.as_data()}, "sentence": _sentence(lines, chosen, first, optimism, found, task),
    }  # fmt: skip


def _sentence(
    lines: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any], first: Mapping[str, Any], optimism: Measure, found: Odds, task: Task
) -> str:  # fmt: skip
    quality = found.quality[found.chosen]
    others = [str(line["trial"]) for line in lines if line["tied"] and line is not chosen]
    ties = f"; trial{'' if len(others) == 1 else 's'} {' and '.join(others)} may be as good" if others else ""
    more = "too good" if optimism.value >= 0 else "too bad"
    sure = "" if optimism.low > 0 or optimism.high < 0 else ", which may be chance"
    return (
        f"Of {len(lines)} candidates run again on {len(chosen['seeds'])} fresh seeds trial {chosen['trial']} is taken: {found.because}; it is the "
        f"best with a chance of {100 * chosen['chance']:.0f} %{ties}. Expected of a network of it: {task.objective.metric} "
        f"{quality.value:.4g} [{quality.low:.4g}, {quality.high:.4g}]. The best single run, of trial {first['trial']}, had shown "
        f"{first['reported']:.4g}, {abs(optimism.value):.2g} {more}{sure}."
    )
