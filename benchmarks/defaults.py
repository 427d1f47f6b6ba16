"""Which defaults are good? The default hyper-parameters of every optimizer on digits, MNIST and adult, five seeds each.

    python benchmarks/defaults.py [SET ...]          digits mnist adult by default, those that are there

No tuning: `tuneful.compare(..., tune=0)`, one thread, short runs of equal length. digits whole by an MLP, 15 epochs; 3,000 images of
MNIST by a LeNet of 8 maps, 4 epochs; 6,000 rows of adult by an MLP, 6 epochs. Full-batch methods get as many epochs, so few steps.
Runs lie in $TUNEFUL_HOME or runs/ under defaults-SET; the script goes on where it was stopped. About 450 runs, 10 minutes.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from record import record

import tuneful
from tuneful.techniques.optimizers import TABLE

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
SEEDS = 5
COMMON: dict[str, Any] = {"threads": 1, "validate_every": 2.0, "regularizers": "none", "augments": "none"}
SETS: dict[str, dict[str, Any]] = {
    "digits": {"model": "mlp", "width": 64, "depth": 2, "batch_size": 32, "epochs": 15.0},
    "mnist": {"model": "lenet", "width": 8, "hidden": [32], "batch_size": 64, "epochs": 4.0, "limit": 3000},
    "adult": {"model": "mlp", "width": 64, "depth": 2, "batch_size": 128, "epochs": 6.0, "limit": 6000},
}


def compared(name: str, kinds: list[str]) -> None:
    """One line of results: each optimizer's mean over the seeds with its interval, in the order of the means."""
    began = time.perf_counter()
    source = name if name == "digits" else str(DATA / name)
    found = tuneful.compare(kinds, source, seeds=SEEDS, tune=0, name=f"defaults-{name}", **COMMON, **SETS[name])
    figures = {
        one["kind"]: {
            "test": None if one["test"] is None else [round(one["test"][k], 4) if one["test"][k] is not None else None
                                                      for k in ("value", "low", "high")],
            "verdict": one["verdict"], "lr": TABLE[one["kind"]]().lr, "steps": one["steps"], "step_ms": one["step_ms"],
        }
        for one in found.data["optimizers"]
    }  # fmt: skip
    record("defaults", "the defaults of each optimizer, not tuned, on common seeds", {
        "set": name, "metric": found.data["metric"], "recipe": {**COMMON, **SETS[name]}, "seeds": SEEDS, "tied": list(found.tied),
        "correction": found.data["correction"], "optimizers": figures, "notes": found.data["notes"],
        "seconds": round(time.perf_counter() - began, 1),
    })  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    kinds = [kind for kind, cls in TABLE.items() if not cls.unsaved]
    for name in sys.argv[1:] or SETS:
        if name not in SETS:
            raise SystemExit(f"{name} is none of {', '.join(SETS)}")
        if name != "digits" and not (DATA / name).exists():
            print(f"{name} is not here; left out", file=sys.stderr)
            continue
        compared(name, kinds)


if __name__ == "__main__":
    main()
