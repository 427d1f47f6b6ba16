"""What a network costs: how long one example takes, how large its weights are, what energy an example needs. Measured before it trains.

Latency is that of torch on one example, by the run's own threads: of the same machine it tells networks apart, and is not that of the shipped
artifact, which is measured when it ships. Energy is read from the processor's counters (RAPL) around many predictions, where the system
lets one read them; it is that of the whole processor, whoever else is at work.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from tuneful.core.errors import RecipeError
from tuneful.core.measure import Measure
from tuneful.core.task import Task
from tuneful.core.tradeoff import Limit, parts
from tuneful.pipeline import judge
from tuneful.pipeline.step import arithmetic
from tuneful.pipeline.train import Run

SECONDS = 0.1  # for each of latency and energy, and at least
FEWEST = 15  # predictions
COUNTERS = Path("/sys/class/powercap")


def aimed(task: Task, objectives: str | None, where: Sequence[str]) -> Task:
    """The task with what else counts and which limits hold. Raises RecipeError where that is not to be had."""
    if objectives is None and not where:
        return task
    limits = [Limit.parse(text) for text in where]
    metric, also = parts([word.strip() for word in objectives.split(",")]) if objectives is not None else (None, ())
    if metric is not None and metric != task.objective.metric:
        raise RecipeError(
            f"objectives names the metric {metric}, and the task's is {task.objective.metric}",
            f"write metric={metric}, or leave the metric out of objectives",
        )
    if "energy" in (*also, *(limit.name for limit in limits)) and not counters():
        raise RecipeError(
            "energy cannot be measured here: no counter of the processor (RAPL) can be read",
            f"on Linux, {COUNTERS}/*/energy_uj must be readable; latency can be had everywhere",
        )
    return replace(task, objective=replace(task.objective, also=also, where=tuple(text.replace(" ", "") for text in where)))


def names(task: Task) -> tuple[str, ...]:
    """The costs that are to be measured of each network."""
    return tuple(dict.fromkeys((*task.objective.also, *(Limit.parse(text).name for text in task.objective.where))))


def measured(run: Run, wanted: Sequence[str]) -> dict[str, Measure]:
    """The costs of a run's network as it is."""
    return costs(run.readout, run.task, run.execution.threads, wanted)


def costs(network: nn.Module, task: Task, threads: int, wanted: Iterable[str]) -> dict[str, Measure]:
    """The costs of a network."""
    found: dict[str, Measure] = {}
    if "size" in wanted:
        size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()) / 1e6
        found["size"] = Measure(size, size, size, 1, "MB", "the bytes of its weights")
    x = task.valid.x[:1]  # a network that has not trained takes as long
    with arithmetic(threads):
        for name in [one for one in ("latency", "energy") if one in wanted]:
            judge.predict(network, x, kind=task.kind)
            times, before, began = list[float](), _joules(), time.perf_counter()
            while len(times) < FEWEST or time.perf_counter() - began < SECONDS:
                at = time.perf_counter()
                judge.predict(network, x, kind=task.kind)
                times.append(1e3 * (time.perf_counter() - at))
            if name == "latency":
                found[name] = median(times, "ms", f"median of {len(times)} predictions of one example by torch")
            else:
                each = 1e3 * max(0.0, _joules() - before) / len(times)
                found[name] = Measure(
                    each, each, each, len(times), "mJ", f"counters of the processor over {len(times)} predictions"
                )
    return {name: found[name] for name in wanted}


def broken(task: Task, costs: dict[str, Measure]) -> str:
    """The first limit that these costs break, in words; "" where none is."""
    told = {name: measure.as_data() for name, measure in costs.items()}
    return next((said for text in task.objective.where if (said := Limit.parse(text).broken(told))), "")


def median(times: Sequence[float], unit: str, how: str) -> Measure:
    """The median with the 95 % interval of order statistics (binomial, by its normal approximation)."""
    ordered, n = np.sort(np.asarray(times)), len(times)
    half = 1.96 * n**0.5 / 2
    low, high = max(0, int(np.floor(n / 2 - half))), min(n - 1, int(np.ceil(n / 2 + half)))
    return Measure(float(np.median(ordered)), float(ordered[low]), float(ordered[high]), n, unit, how)


def counters(place: Path | None = None) -> list[Path]:
    """The processor's energy counters that can be read, one a package."""
    found: list[Path] = []
    for path in sorted((place or COUNTERS).glob("*-rapl:*/energy_uj")):
        if path.parent.name.count(":") == 1:
            try:
                int(path.read_text(encoding="ascii"))
            except (OSError, ValueError):
                continue
            found.append(path)
    return found


def _joules() -> float:
    """What all counters say; 0 where there is none."""
    return sum(int(path.read_text(encoding="ascii")) for path in counters()) / 1e6


__all__ = ["aimed", "broken", "costs", "counters", "measured", "median", "names"]
