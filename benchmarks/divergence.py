"""Is a run that will diverge recognized in its first 200 mini-batches? On the 1080 complete trainings of DeepOBS.

    python benchmarks/divergence.py

A run is doomed when at its end it knows no more than an untrained network, and its rate is not the reason that it was too slow:
its last training loss is not finite, or not below the one before training; or its accuracy on train is that of the untrained
network (within 2 %) though its rate is above the best rate of its problem and optimizer, so that it has collapsed.
Beside that, two narrower readings: "loss" leaves out the last clause; "exploded" has it only for runs whose loss at the end of some
epoch was above the first.

The threshold (`sigmas` of `techniques.symptoms.Divergence`) is fixed on four problems by the largest difference between the share
of doomed runs that is caught and the share of false alarms, and judged on the other four: both ways for the first and the last four
in the order of the file, and for all 70 ways to choose four of eight. The rest of the rule was designed while looking at this file,
at all of its problems, so the figures are somewhat too good.

Data: hpo/deepobs_v1_sgd_momentum_adam.npz in $TUNEFUL_DATA, or beside the checkout.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from record import record

from tuneful.techniques.symptoms.divergence import Divergence

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
FILE = DATA / "hpo" / "deepobs_v1_sgd_momentum_adam.npz"
GRID = np.arange(2.0, 12.1, 0.5)
NEAR = 0.02  # of accuracy: no better than untrained


def doomed(told: Mapping[str, Any]) -> dict[str, Any]:
    """[N] bool for each reading of "doomed"."""
    n, loss, accuracy = len(told["problem"]), told["train_loss"].astype(float), told["train_acc"]
    last = told["num_epochs"]
    first, end = loss[:, 0], loss[np.arange(n), last]
    right = accuracy[np.arange(n), last]
    top = np.nanmax(np.where(np.isfinite(loss), loss, np.nan), axis=1)
    best = np.full((len(told["problems"]), len(told["optimizers"])), -1)
    for one in np.ndindex(best.shape):
        runs = np.flatnonzero((told["problem"] == one[0]) & (told["optimizer"] == one[1]) & np.isfinite(end))
        best[one] = told["lr_index"][runs[np.argmin(end[runs])]]
    above = told["lr_index"] > best[told["problem"], told["optimizer"]]
    untrained = np.isfinite(right) & (right <= accuracy[:, 0] + NEAR)
    worse = ~np.isfinite(end) | (end >= first)
    return {"doomed": worse | (above & untrained), "exploded": worse | (untrained & (top > 1.02 * first)), "loss": worse}


def rates(alarm: Any, bad: Any, of: Any) -> tuple[float, float]:
    """(share of the doomed that is caught, share of the others with an alarm) among some runs."""
    return float((alarm & bad & of).sum() / (bad & of).sum()), float((alarm & ~bad & of).sum() / (~bad & of).sum())


def fixed(scores: Any, bad: Any, of: Any) -> float:
    """The threshold that some runs choose."""
    return float(max(GRID, key=lambda t: (rates(scores > t, bad, of)[0] - rates(scores > t, bad, of)[1], t)))


def judged(told: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is recorded."""
    rule = Divergence()
    scores = np.array([rule.score([float(loss) for loss in losses]) for losses in told["mb_loss_first200"]])
    problem, found = told["problem"], {}
    halves = [np.isin(problem, half) for half in itertools.combinations(range(len(told["problems"])), 4)]
    for name, bad in doomed(told).items():
        everywhere = np.ones(len(bad), dtype=bool)
        out: dict[str, Any] = {"doomed": int(bad.sum()), "runs": len(bad)}
        for way, half in (("first_four_to_last", problem < 4), ("last_four_to_first", problem >= 4)):
            threshold = fixed(scores, bad, half)
            caught, false = rates(scores > threshold, bad, ~half)
            out[way] = {"threshold": threshold, "caught": round(caught, 4), "false": round(false, 4)}
        each = [rates(scores > fixed(scores, bad, half), bad, ~half) for half in halves]
        out["70_ways"] = {
            "caught": round(float(np.mean([c for c, _ in each])), 4),
            "false": round(float(np.mean([f for _, f in each])), 4),
            "caught_90_and_false_3": round(float(np.mean([c >= 0.9 and f <= 0.03 for c, f in each])), 3),
        }
        for label, threshold in (("told", rule.sigmas), ("certain", rule.certain)):
            caught, false = rates(scores > threshold, bad, everywhere)
            out[label] = {"threshold": threshold, "caught": round(caught, 4), "false": round(false, 4)}
        found[name] = out
    return found


if __name__ == "__main__":
    if not FILE.exists():
        sys.exit(f"{FILE} is not here; set TUNEFUL_DATA")
    with np.load(FILE, allow_pickle=False) as stored:
        everything = {name: stored[name] for name in stored}
    for reading, figures in judged(everything).items():
        record("divergence", f"divergence in 200 mini-batches, {reading}", figures)
