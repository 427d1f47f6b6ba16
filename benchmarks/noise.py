"""Claims: what is said of a chosen model holds on new data in 90 of 100 studies, and retested choices lose less than single runs do.

    python benchmarks/noise.py [digits] [penguins] [telco] [--studies N] [--pool FOLDER]

On small data the search is mostly noise. A study is a split of its own (few examples to learn and to validate on, all others to
test), a pool of recipes drawn at random, and each of them trained with SEEDS seeds, in stacks. The pool is trained once, and
choices are replayed from it: nothing is trained for a choice, and every way of choosing sees the same trainings.

    single     the recipe with the best value under the first seed, and that value: what most tuners report
    retested   `pipeline.odds` on the best five under three other seeds, as `tuneful tune` ends

A recipe's truth is its mean over all seeds on the test examples. Regret: the truth of the pool's best less that of the chosen one.
Covered: the share of studies in which the value of the chosen network on the test examples lies inside the interval that was stated
before. Errors are told in standard errors of the stated interval (its half divided by 1.96).
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

from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.odds import odds
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.stack import Stack
from tuneful.pipeline.standing import scored

RECIPES, SEEDS = 16, 8
CANDIDATES, FRESH = 5, 3  # as `tune` has them
DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
SOURCES: dict[str, tuple[Any, dict[str, Any]]] = {  # examples to learn from, to validate on, and the rest
    "digits": ("digits", {"valid": 75 / 1797, "test": 1497 / 1797}),
    "penguins": (DATA / "penguins" / "penguins.csv", {"target": "species", "leave_out": ["island"], "valid": 0.15, "test": 0.6}),
    "telco": (DATA / "telco_churn" / "Telco-Customer-Churn.csv.gz", {"target": "Churn", "valid": 0.02, "test": 0.92}),
}  # fmt: skip


def pool(task: Task, study: int) -> list[Recipe]:
    """Recipes drawn at random around those that one would try: the rate, the decay, dropout, smoothing, and two widths."""
    dice = np.random.default_rng(study)
    found: list[Recipe] = []
    for _ in range(RECIPES):
        told = {
            "model": "mlp", "depth": 1, "width": int(dice.choice([16, 64])), "optimizer": "adamw", "lr": float(10 ** dice.uniform(-3.5, -1)),
            "weight_decay": float(10 ** dice.uniform(-4, 0)), "dropout": float(dice.uniform(0.01, 0.6)), "epochs": 20, "batch_size": 32,
            "validate_every": 20, "averaging": "off", "early_stopping": "off", "threads": 1,
        }  # fmt: skip
        found.append(resolve(from_mapping(told, task)[0], task))
    return found


def trained(task: Task, study: int) -> dict[str, Any]:
    """Answers of all runs to valid [C, S, N, L], their scores on test [C, S], and the sizes of the networks [C]."""
    recipes, test = pool(task, study), task.test.open("to know the truth of a pool")
    answers: dict[tuple[int, int], Any] = {}
    scores, weights = np.full((RECIPES, SEEDS), np.nan), np.zeros(RECIPES, dtype=int)
    for width in (16, 64):
        members = [(c, s) for c, one in enumerate(recipes) if one.model.width == width for s in range(SEEDS)]
        stack = Stack(task, [recipes[c].replace("seed", 1000 * study + s) for c, s in members], device="cpu")
        for _ in stack:
            pass
        for number, (c, s) in enumerate(members):
            network = stack.runs[number].candidate().network
            answers[c, s] = judge.predict(network, task.valid.x, kind=task.kind)
            scores[c, s] = judge.score(task.objective.metric, judge.predict(network, test.x, kind=task.kind), test.y)
            weights[c] = sum(p.numel() for p in network.parameters())
    told = np.stack([[answers[c, s] for s in range(SEEDS)] for c in range(RECIPES)])
    return {"valid": told.astype("f4"), "y": task.valid.y, "test": scores, "weights": weights}


def known(name: str, study: int, folder: Path) -> tuple[dict[str, Any], str, tuple[int, int, int]]:
    """A study's pool, from the folder where it lies there."""
    source, how = SOURCES[name]
    path = folder / f"{name}-{study:03d}.npz"
    if not path.exists():
        task = prepare(str(source), seed=study, **how)
        np.savez(
            path,
            **trained(task, study),
            metric=task.objective.metric,
            sizes=[len(task.train), len(task.valid), len(task.test)],
        )
    with np.load(path) as held:
        return dict(held), str(held["metric"]), tuple(int(n) for n in held["sizes"])


def replayed(found: dict[str, Any], metric: str) -> dict[str, dict[str, float]]:
    """What both ways of choosing come to in one study."""
    sign = 1.0 if judge.METRICS[metric].direction == "max" else -1.0
    valid, y, test = found["valid"].astype("f8"), found["y"], found["test"]
    single = np.array([judge.score(metric, runs[0], y) for runs in valid])
    truth = test.mean(axis=1)
    best = float((sign * truth).max())
    order = np.argsort(-sign * single, kind="stable")
    first = int(order[0])
    stated = judge.value(metric, valid[first, 0], y)
    told = {"single": outcome(stated, sign, best, truth[first], test[first, 0])}
    top = order[:CANDIDATES]
    again = range(1, 1 + FRESH)
    scores = [scored(metric, [valid[c, s] for s in again], y) for c in top]
    brier = [float(np.mean([judge.score("brier", valid[c, s], y) for s in again])) for c in top]
    finer = brier if judge.METRICS[metric].needs == "classes" else []
    one = odds(metric, scores, [int(found["weights"][c]) for c in top], len(y), finer=finer)
    taken = int(top[one.chosen])
    own = [single[taken], *scores[one.chosen].seeds]
    run = int(np.argmax(sign * np.array(own)))
    told["retested"] = outcome(one.quality[one.chosen], sign, best, truth[taken], test[taken, run])
    over = [judge.score(metric, valid[first, s], y) for s in again]
    told["retested"]["optimism"] = sign * (single[first] - float(np.mean(over)))
    told["retested"]["chance"] = one.chance[one.chosen]
    told["retested"]["tied"] = float(sum(one.tied))
    return told


def outcome(stated: Any, sign: float, best: float, truth: float, network: float) -> dict[str, float]:
    error = (stated.high - stated.low) / 2 / 1.96
    return {
        "regret": best - sign * float(truth), "covered": float(stated.low <= network <= stated.high),
        "off": sign * (stated.value - float(truth)), "off_in_errors": abs(stated.value - float(truth)) / error if error > 0 else np.nan,
        "network_regret": best - sign * float(network), "width": stated.high - stated.low,
    }  # fmt: skip


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("names", nargs="*")
    words.add_argument("--studies", type=int, default=40)
    words.add_argument("--pool", type=Path, default=Path(tempfile.gettempdir()) / "tuneful-noise")
    asked = words.parse_args()
    torch.set_num_threads(1)
    asked.pool.mkdir(parents=True, exist_ok=True)
    for name in asked.names or list(SOURCES):
        source = SOURCES[name][0]
        if isinstance(source, Path) and not source.exists():
            print(f"{name} is left out: there is no {source.name} in the folder of data")
            continue
        rows: list[dict[str, dict[str, float]]] = []
        for study in range(asked.studies):
            found, metric, sizes = known(name, study, asked.pool)
            rows.append(replayed(found, metric))
        figures: dict[str, Any] = {
            "data": name, "metric": metric, "train_valid_test": sizes, "studies": len(rows), "recipes": RECIPES, "seeds": SEEDS,
        }  # fmt: skip
        for way in ("single", "retested"):
            for what in rows[0][way]:
                values = np.array([row[way][what] for row in rows])
                figures[f"{way}_{what}"] = round(float(np.nanmean(values)), 5)
        saved = np.array([row["single"]["regret"] - row["retested"]["regret"] for row in rows])
        figures["regret_ratio"] = round(figures["retested_regret"] / max(figures["single_regret"], 1e-12), 3)
        figures["regret_saved_error"] = round(float(saved.std(ddof=1) / np.sqrt(len(rows))), 5)
        record("noise", "what is said of a chosen model holds on new data, and retested choices lose less", figures)


if __name__ == "__main__":
    main()
