"""What the recipes that come along reach: fresh seeds that no choice saw, each trained to its end and held to the test split once.

    python benchmarks/recipes.py run mnist-10 5          five more seeds of a recipe, a line each in results/recipes.jsonl
    python benchmarks/recipes.py run mnist-10 1003,1004  these seeds, for a second process beside
    python benchmarks/recipes.py run cifar10 1 limit=5000   a setting behind it is for trying: nothing is recorded
    python benchmarks/recipes.py sum mnist-10            mean and interval over the lines of the recipe as it is now
    python benchmarks/recipes.py ablate mnist-10 3 limit=12000   without each of its parts, on 3 common seeds; the test stays shut

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import quality
from record import RESULTS, record
from scipy import stats

from tuneful.core.recipe import Recipe
from tuneful.pipeline import judge, shelf
from tuneful.pipeline.asked import asked
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.job import Job
from tuneful.pipeline.plan import planned
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.train import Run
from tuneful.pipeline.words import from_words
from tuneful.techniques.inits import He
from tuneful.techniques.models import ConvNet
from tuneful.techniques.optimizers import AdamW

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


def trained(job: Job, task: Any, seed: int, changed: Mapping[str, Any] | None = None) -> tuple[Run, dict[str, Any]]:
    """One training, of the recipe with changes, and what it took."""
    threads = int(os.environ.get("THREADS", "1"))
    recipe = asked(job, task, Recipe(seed=seed, threads=threads)).recipe.replace(seed=seed, threads=threads)
    recipe = resolve(recipe.replace(changed or {}), task)
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
    """One line over all runs of a recipe, and the sentence for its [about]."""
    found = lines(name)
    middle, low, high = mean([one["test"] for one in found])
    seconds = statistics.median(one["cpu_s"] for one in found)
    record("recipes", name, {
        "recipe": digest(name), "metric": found[0]["metric"], "mean": middle, "low": low, "high": high, "n": len(found),
        "how": "mean over seeds, Student's t 95 %", "each": [one["test"] for one in found], "of": found[0]["n"],
        "without_views": mean([one["without_views"] for one in found])[0],
        "epochs": found[0]["epochs"], "cpu_s": seconds, "plan": found[-1]["plan"], "parameters": found[0]["parameters"],
    })  # fmt: skip
    spread = f" [{low:.4f}, {high:.4f}] (mean of {len(found)} seeds" if len(found) > 1 else " (1 seed"
    print(f'measured = "test {found[0]["metric"]} {middle:.4f}{spread}), {found[0]["epochs"]:g} epochs, {seconds:.0f} s of a core of an '
          f'{found[0]["machine"]["cpu"]} ({found[-1]["plan"]}), {found[-1]["at"]}"')  # fmt: skip


def changes() -> dict[str, dict[str, Any]]:
    """What is left out of mnist-10, one after the other, by dotted paths; the whole recipe first."""
    return {
        "nothing": {},
        "shifts at the end": {"views": ()},
        "smoothing": {"regularizers.smoothing": None},
        "averaged weights": {"regularizers.averaging": None},
        "moved images": {"augments": ()},
        "muon (adamw, 4e-3)": {"optimizer": AdamW(lr=4e-3, decay=0.05)},
        "whitening (he, learned)": {"init": He(), "model.frozen": False},
        "dirac (he)": {"init.others": "he"},
        "airbench (convnet, he)": {"model": ConvNet(width=32), "init": He()},
        "warm-up": {"schedule.warmup": 0.0},
    }


def ablated(name: str, count: int, words: Sequence[str]) -> None:
    """The recipe without each of its parts, on common seeds that are not those of the claim. Errors on a sixth of train, the test
    stays shut; the difference from the whole recipe, seed by seed."""
    with tempfile.TemporaryDirectory() as made:
        job = from_words("train", source_of(name, Path(made)), ["valid=auto", *words], recipe=name)
        task = prepare(job.source, **job.reading)
        errors: dict[str, list[float]] = {label: [] for label in changes()}
        for seed in range(count):
            for label, changed in changes().items():
                if label == "shifts at the end":  # the same training as the whole
                    continue
                run, _ = trained(job, task, seed, changed)
                errors[label].append(100 * (1 - measured(run, task.valid, "accuracy")))
                if label == "nothing":
                    errors["shifts at the end"].append(100 * (1 - measured(run, task.valid, "accuracy", views=())))
        gaps = {label: [a - b for a, b in zip(of, errors["nothing"], strict=True)] for label, of in errors.items()}
        record("recipes", f"{name}, ablation", {
            "recipe": digest(name), "words": list(words), "train": len(task.train), "valid": len(task.valid), "seeds": count,
            "error_percent": {label: [round(one, 3) for one in of] for label, of in errors.items()},
            "worse_by": {label: [round(one, 3) for one in mean(of)] for label, of in gaps.items()},
        })  # fmt: skip


if __name__ == "__main__":
    verb, name, *rest = sys.argv[1:]
    if verb == "run":
        runs(name, rest[0], rest[1:])
    elif verb == "sum":
        summed(name)
    else:
        ablated(name, int(rest[0]), rest[1:])
