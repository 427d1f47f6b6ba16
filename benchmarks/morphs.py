"""Claim: a search over widths and depths finds better networks at the same cost when children begin as grown copies of good ones.

    python benchmarks/morphs.py [digits] [mnist] [--seeds 8] [--trials 30] [--print]

The same space (rate, width, depth of an MLP; every trial trains to its full length) is searched by `morph`, by `evolution` (the same without
weights that are kept) and at random, each with the same seeds. Cost is counted, not timed: multiply-adds of all trainings, forward and
backward, which are 6 * weights * examples. At the cost that the cheapest of the three came to, each names its best trial so far by the loss on
valid; its accuracy on test is compared in pairs over seeds, with a bootstrap interval over seeds of the mean difference.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import record

from tuneful.core.budget import Budget, Clock
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.codec import from_data, from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.tune import Search
from tuneful.techniques.search import Evolution, Full, Morph, Random

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
CASES: dict[str, tuple[Any, dict[str, Any]]] = {"digits": ("digits", {}), "mnist": (DATA / "mnist", {"limit": 1500})}
SETTINGS = {
    "model": "mlp", "width": "8..128", "depth": "1..4", "lr": "1e-4..3e-2", "optimizer": "adamw", "epochs": 4, "batch_size": 64, "threads": 1,
    "early_stopping": "off", "plan": "off", "validate_every": 4,
}  # fmt: skip
WAYS = {"morph": Morph(), "evolution": Evolution(population=12, sample=3), "random": Random()}


def searched(task: Task, way: str, seed: int, trials: int) -> list[tuple[float, float, float]]:
    """(cost so far, loss on valid, accuracy on test) of each trial in turn."""
    recipe, space = from_mapping({**SETTINGS, "seed": seed}, task)
    recipe = resolve(recipe, task)
    split = task.test.open("benchmarks/morphs.py")
    found: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        study = Study.create(Path(folder), "s", task, space)
        search = Search(
            study,
            task,
            recipe,
            space,
            Clock(Budget(trials=trials)),
            device="cpu",
            proposer=WAYS[way],
            scheduler=Full(),
            stacked=False,
        )
        answers: dict[int, float] = {}

        def asked() -> None:
            for trial in study.trials():
                path = search.legs.path(trial.number)
                if trial.state == "done" and trial.number not in answers and path.exists():
                    network = search.legs.run(trial, path, 1.0).candidate().network
                    answers[trial.number] = judge.score("accuracy", judge.predict(network, split.x), split.y)

        for _ in search:
            asked()
        asked()
        spent = 0.0
        for trial in study.trials():
            made: Any = from_data(trial.recipe).model
            weights = sum(p.numel() for p in made.build(_form(task)).parameters())
            spent += 6.0 * weights * len(task.train) * float(recipe.epochs)
            loss = trial.curve[-1].valid_loss if trial.curve else float("inf")
            found.append((spent, loss, answers.get(trial.number, float("nan"))))
    return found


def _form(task: Task) -> Any:
    from tuneful.pipeline.goals import form

    return form(task)


def best(course: list[tuple[float, float, float]], cost: float) -> tuple[float, float]:
    """(loss on valid, accuracy on test) of the best trial that had ended at that cost."""
    within = [one for one in course if one[0] <= cost] or course[:1]
    _, loss, accuracy = min(within, key=lambda one: one[1])
    return loss, accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), choices=[*CASES, []])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--print", action="store_true", help="do not write to results/")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for case in asked.cases:
        source, options = CASES[case]
        task = prepare(source, **options)
        told: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for seed in range(asked.seeds):
            courses = {way: searched(task, way, seed, asked.trials) for way in WAYS}
            cost = min(course[-1][0] for course in courses.values())
            for way, course in courses.items():
                told[way].append(best(course, cost))
        values = {way: np.array(pairs) for way, pairs in told.items()}
        out: dict[str, Any] = {"case": case, "seeds": asked.seeds, "trials": asked.trials}
        for way, pairs in values.items():
            out[way] = {"valid_loss": float(pairs[:, 0].mean()), "test_accuracy": float(np.nanmean(pairs[:, 1]))}
        for other in ("evolution", "random"):
            for column, name in enumerate(("valid_loss", "test_accuracy")):
                apart = values["morph"][:, column] - values[other][:, column]
                apart = apart[np.isfinite(apart)]
                dice = np.random.default_rng(0)
                means = dice.choice(apart, (2000, len(apart))).mean(1)
                low, high = np.quantile(means, [0.025, 0.975])
                out[f"morph less {other}, {name}"] = [float(apart.mean()), float(low), float(high)]
        print(out)
        if not asked.print:
            record("morphs", f"grown copies at equal cost: {case}", out)


if __name__ == "__main__":
    main()
