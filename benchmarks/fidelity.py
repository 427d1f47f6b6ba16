"""Claim: at 10 % of training a constant rate with averaged weights tells better how recipes will end than a cosine that is cut off does.

    python benchmarks/fidelity.py [adult] [mnist] [--recipes 24] [--print]

Recipes are drawn at random (rate, decay, dropout, width). Each is trained twice to its full length, with the same seed:

    wsd      warm-up, constant, a cooldown over the last fifth (Haegele et al., NeurIPS 2024), judged by an average of the weights (0.9 a step)
    cosine   warm-up and cosine (Loshchilov & Hutter, ICLR 2017), judged as it is

and the value at a tenth is compared with the value at the end by Spearman's rank correlation, with an interval over recipes (bootstrap). The
value is the loss on valid. A search that stops trials early is as good as this number lets it be. MLP on adult, ConvNet on MNIST, at a size
that the cores allow.
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
from record import record
from scipy.stats import spearmanr

from tuneful.core.task import Task
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.train import Run

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
CASES: dict[str, tuple[Path, dict[str, Any], dict[str, Any]]] = {
    "adult": (DATA / "adult", {"limit": 4000}, {"model": "mlp", "depth": 2, "epochs": 10, "batch_size": 128}),
    "mnist": (DATA / "mnist", {"limit": 2000}, {"model": "convnet", "epochs": 5, "batch_size": 64}),
}
WIDTHS = {"mlp": (16, 32, 64), "convnet": (4, 8)}
WAYS = {"wsd": {"schedule": "wsd", "averaging": 0.9}, "cosine": {"schedule": "cosine", "averaging": "off"}}


def drawn(count: int, base: dict[str, Any]) -> list[dict[str, Any]]:
    """Settings at random."""
    dice, widths = np.random.default_rng(0), WIDTHS[base["model"]]
    return [
        {"lr": float(10 ** dice.uniform(-4, -1.3)), "weight_decay": float(10 ** dice.uniform(-4, -0.5)),
         "regularizers.dropout.rate": float(dice.uniform(0.01, 0.5)), "width": int(dice.choice(widths))}
        for _ in range(count)
    ]  # fmt: skip


def curve(task: Task, settings: dict[str, Any]) -> list[float]:
    """Losses on valid at each tenth of the training."""
    told = {
        **settings,
        "optimizer": "adamw",
        "early_stopping": "off",
        "threads": 1,
        "plan": "off",
        "validate_every": settings["epochs"] / 10,
        "alarm": "tell",
    }
    run = Run(task, resolve(from_mapping(told, task)[0], task), device="cpu")
    return [point.valid_loss for point in run]


def correlation(early: np.ndarray, late: np.ndarray) -> tuple[float, float, float]:
    """Spearman's, with a 95 % interval of 2,000 resamples of the recipes."""
    dice, found = np.random.default_rng(1), []
    for _ in range(2000):
        rows = dice.integers(len(early), size=len(early))
        found.append(float(spearmanr(early[rows], late[rows]).statistic))
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return round(float(spearmanr(early, late).statistic), 3), round(float(low), 3), round(float(high), 3)


def main() -> None:
    """One line a case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--recipes", type=int, default=24)
    parser.add_argument("--print", action="store_true", help="print only; record nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.cases or CASES:
        source, how, base = CASES[name]
        task, began = prepare(str(source), **how), time.process_time()
        ends: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        for settings in drawn(args.recipes, base):
            both = {way: curve(task, {**base, **settings, **more}) for way, more in WAYS.items()}
            if all(len(one) >= 10 and all(map(math.isfinite, one)) for one in both.values()):
                for way, one in both.items():
                    ends[way].append(one)
        figures: dict[str, Any] = {"recipes": len(ends["wsd"]), "train": len(task.train), "epochs": base["epochs"]}
        for way, found in ends.items():
            told = np.array([[*one[:9], one[-1]] for one in found])
            figures[way] = {f"at_{10 * (k + 1)}_percent": correlation(told[:, k], told[:, 9]) for k in (0, 2)}
            figures[way]["best_end"] = round(float(told[:, 9].min()), 4)
        figures["cpu_s"] = round(time.process_time() - began)
        print(name, figures, flush=True) if args.print else record(
            "fidelity", f"{name}: rank correlation with the end", figures
        )


if __name__ == "__main__":
    main()
