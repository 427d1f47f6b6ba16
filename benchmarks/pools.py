"""Tables of trainings of our own, in which searches can be replayed: a third family of tasks beside TaskSet's and DeepOBS'.

    python benchmarks/pools.py FOLDER [digits] [telco] [adult] [mnist]

CONFIGS recipes of an MLP are drawn at random (rate, decay, the first beta, dropout, smoothing, one of two widths) and trained once, in stacks,
with 51 validations each. FOLDER gets one file a task with dials, in [0, 1], and the loss on valid at each. `replay.py --pools FOLDER` reads them.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.stack import Stack

CONFIGS, POINTS, EPOCHS = 160, 51, 17
WIDTHS = (16, 64)
DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
SOURCES: dict[str, tuple[Any, dict[str, Any]]] = {
    "digits": ("digits", {}),
    "telco": (DATA / "telco_churn" / "Telco-Customer-Churn.csv.gz", {"target": "Churn", "limit": 1200}),
    "adult": (DATA / "adult", {"limit": 1200}),
    "mnist": (DATA / "mnist", {"limit": 1200}),
}
RANGES = {
    "lr": (1e-4, 1e-1),
    "weight_decay": (1e-4, 1.0),
    "one_minus_beta1": (1e-2, 0.5),
    "dropout": (0.01, 0.6),
    "smoothing": (0.001, 0.3),
}
LOG = ("lr", "weight_decay", "one_minus_beta1")


def recipe_of(place: np.ndarray) -> dict[str, Any]:
    """The settings at a place in [0, 1]^6."""
    told: dict[str, Any] = {}
    for at, (name, (low, high)) in zip(place, RANGES.items(), strict=False):
        told[name] = math.exp(math.log(low) + at * math.log(high / low)) if name in LOG else low + at * (high - low)
    told["optimizer.beta1"] = 1 - told.pop("one_minus_beta1")
    fixed = {"model": "mlp", "depth": 1, "optimizer": "adamw", "epochs": EPOCHS, "batch_size": 64, "validate_every": EPOCHS / POINTS,
             "averaging": "off", "early_stopping": "off", "threads": 1, "plan": "off", "alarm": "tell"}  # fmt: skip
    return {**told, **fixed, "width": WIDTHS[int(place[-1] >= 0.5)]}


def trained(name: str) -> dict[str, Any]:
    """The table of one task."""
    source, how = SOURCES[name]
    task = prepare(str(source), **how)
    places = np.random.default_rng(7).random((CONFIGS, 6))
    loss = np.full((CONFIGS, POINTS), np.nan)
    for wide in (False, True):
        rows = np.flatnonzero((places[:, -1] >= 0.5) == wide)
        for part in np.array_split(rows, -(-len(rows) // 40)):
            recipes = [resolve(from_mapping(recipe_of(places[row]), task)[0], task) for row in part]
            stack = Stack(task, recipes, device="cpu")
            for _ in stack:
                pass
            for number, row in enumerate(part):
                told = [point.valid_loss for point in stack.runs[number].curve][:POINTS]
                loss[row, : len(told)] = told
    return {"places": places, "loss": loss, "examples": [len(task.train), len(task.valid)]}


def main() -> None:
    """One file a task."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.names or SOURCES:
        began = time.process_time()
        found = trained(name)
        np.savez(args.folder / f"{name}.npz", **found)
        low = np.nanmin(found["loss"], axis=1)
        print(f"{name}: {found['examples']} examples, best {np.nanmin(low):.4g}, median {np.nanmedian(low):.4g}, "
              f"{np.isnan(found['loss']).any(1).sum()} cut short, {time.process_time() - began:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
