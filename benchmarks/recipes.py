"""What the recipes that come along reach: fresh seeds that no choice saw, each trained to its end and held to the test split once.

    python benchmarks/recipes.py run mnist-10 5          five more seeds of a recipe, a line each in results/recipes.jsonl
    python benchmarks/recipes.py run mnist-10 1003,1004  these seeds, for a second process beside
    python benchmarks/recipes.py run cifar10 1 limit=5000   a setting behind it is for trying: nothing is recorded
    python benchmarks/recipes.py sum mnist-10            mean and interval over the lines of the recipe as it is now
    python benchmarks/recipes.py ablate mnist-10 3 without-views views=none   pairs on common seeds; valid, the test stays shut

A seed is the n-th after 1000 that the recipe, as it is now, has no line of. The steps are carried out as the plan says; THREADS in
the environment gives how many (1 when not). The sets lie in $TUNEFUL_DATA or beside the checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import quality
from record import RESULTS, record
from scipy import stats

from tuneful.core.recipe import Recipe
from tuneful.pipeline import judge, shelf
from tuneful.pipeline.asked import asked
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.job import Job, from_words
from tuneful.pipeline.plan import planned
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.train import Run

SETS = {"mnist": "mnist", "cifar10": "cifar10", "adult": "adult", "rt_polarity": "rt_polarity", "fsdd": "fsdd", "digits": ""}
"""The first part of a recipe's name -> the bar in `quality` that says how its data is read."""
FIRST = 1000


def source_of(name: str, made: Path) -> str:
    """The path of a recipe's data, made where the set does not lie as it is read."""
    bar = SETS[name.partition("-")[0]]
    if not bar:
        return "digits"
    its = quality.BARS[bar]
    return str(its.make(quality.DATA / its.set, made) if its.make else quality.DATA / its.set)


def digest(name: str) -> str:
    """Of the settings of a recipe: lines of another state of it do not count."""
    told = [[one.key, one.value] for one in shelf.opened(name).entries]
    return hashlib.blake2b(json.dumps(told, default=str).encode(), digest_size=4).hexdigest()


def lines(name: str) -> list[dict[str, Any]]:
    """The runs of a recipe as it is now."""
    path = RESULTS / "recipes.jsonl"
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return [one for one in found if one["claim"] == f"{name}, one run" and one["recipe"] == digest(name)]


def trained(job: Job, task: Any, seed: int) -> tuple[Run, dict[str, Any]]:
    """One training, and what it took."""
    threads = int(os.environ.get("THREADS", "1"))
    recipe = resolve(asked(job, task, Recipe(seed=seed, threads=threads)).recipe.replace(seed=seed, threads=threads), task)
    run = Run(task, recipe, device="cpu")
    began, used = time.perf_counter(), time.process_time()
    plan = planned(run, most=10.0)
    for point in run:
        print(
            f"  seed {seed} epoch {point.epoch:.3g}: valid {point.value.value:.4f}, {time.perf_counter() - began:.0f} s",
            file=sys.stderr,
        )
    took = {
        "epochs": round(run.epoch, 3), "seconds": round(time.perf_counter() - began, 1), "cpu_s": round(time.process_time() - used, 1),
        "plan": str(plan.chosen), "parameters": sum(p.numel() for p in run.body.parameters()), "ended": run.ended,
    }  # fmt: skip
    return run, took


def measured(run: Run, split: Any, metric: str, views: tuple[str, ...] | None = None) -> float:
    """The metric of what the run reads out; views: other ones than the recipe's."""
    network = run.candidate().network
    network.views = network.views if views is None else views
    return judge.score(metric, judge.predict(network, split.x, kind=run.task.kind), split.y)


def runs(name: str, which: str, words: Sequence[str]) -> None:
    """More seeds of a recipe."""
    with tempfile.TemporaryDirectory() as made:
        job = from_words("train", source_of(name, Path(made)), words, recipe=name)
        task = prepare(job.source, **job.reading)
        metric = task.objective.metric
        done = {one["seed"] for one in lines(name)}
        fresh = [seed for seed in range(FIRST, FIRST + len(done) + 100) if seed not in done]
        seeds = [int(seed) for seed in which.split(",") if seed] if "," in which else fresh[: int(which)]
        for seed in seeds:
            run, took = trained(job, task, seed)
            valid = measured(run, task.valid, metric)
            if words:
                print(f"{name} {' '.join(words)}, seed {seed}: valid {metric} {valid:.4f} {took}", flush=True)
                continue
            test = measured(run, task.test.open(f"seed {seed} of recipe {name}"), metric)
            plain = measured(run, task.test.open("the same without views"), metric, views=()) if run.recipe.views else test
            record("recipes", f"{name}, one run", {
                "recipe": digest(name), "seed": seed, "metric": metric, "test": test, "n": len(task.test), "without_views": plain,
                "valid": valid, **took,
            })  # fmt: skip


def mean(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean and its 95 % interval by Student's t over seeds."""
    middle = statistics.fmean(values)
    if len(values) < 2:
        return middle, float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return middle, middle - half, middle + half


def summed(name: str) -> None:
    """One line over all runs of a recipe."""
    found = lines(name)
    middle, low, high = mean([one["test"] for one in found])
    record("recipes", name, {
        "recipe": digest(name), "metric": found[0]["metric"], "mean": middle, "low": low, "high": high, "n": len(found),
        "how": "mean over seeds, Student's t 95 %", "each": [one["test"] for one in found], "of": found[0]["n"],
        "epochs": found[0]["epochs"], "cpu_s": statistics.median(one["cpu_s"] for one in found), "plan": found[-1]["plan"],
        "parameters": found[0]["parameters"],
    })  # fmt: skip


def ablated(name: str, count: int, label: str, words: Sequence[str]) -> None:
    """The recipe with a change, on common seeds that are not those of the claim; errors on valid."""
    with tempfile.TemporaryDirectory() as made:
        source = source_of(name, Path(made))
        base = from_words("train", source, ["valid=auto"], recipe=name)
        changed = from_words("train", source, ["valid=auto", *words], recipe=name)
        task = prepare(base.source, **base.reading)
        for seed in range(count):
            run, took = trained(changed, task, seed)
            record("recipes", f"{name}, ablation", {
                "recipe": digest(name), "change": label, "words": list(words), "seed": seed, "metric": task.objective.metric,
                "valid": measured(run, task.valid, task.objective.metric), "n": len(task.valid), **took,
            })  # fmt: skip


if __name__ == "__main__":
    verb, name, *rest = sys.argv[1:]
    if verb == "run":
        runs(name, rest[0], rest[1:])
    elif verb == "sum":
        summed(name)
    else:
        ablated(name, int(rest[0]), rest[1], rest[2:])
