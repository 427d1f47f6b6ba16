"""Claims: a study costs less than 5 ms a trial beside the training, its memory stays flat, and 100,000 points are reported in 5 s.

    python benchmarks/overhead.py [--trials 1000] [--print] [PROPOSER ...]

Nothing trains: legs end at once with invented values, and everything else is what `tune` does, into SQLite on the disk: ASHA's decisions, the
proposal, the claim, points, pauses and ends. Eight dials, six of them numbers. Times are of the core, by which a busy machine counts less.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import record

from tuneful.core.budget import Budget, Clock
from tuneful.core.measure import Measure
from tuneful.core.study import Study
from tuneful.core.trial import Point
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.deciding import Deciding, epoch, goal
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.prepare import prepare
from tuneful.report import Story, write
from tuneful.techniques.search import ASHA, PROPOSERS

SPACE = {
    "model": "mlp", "optimizer": "adamw,momentum", "lr": "1e-4..1e-1", "optimizer.decay": "1e-4..0.3", "model.width": "16..512", "model.depth": "1..4",
    "regularizers.dropout.rate": "0..0.5", "regularizers.smoothing.amount": "0..0.2", "batch_size": "32,64,128", "epochs": 27,
}  # fmt: skip


def walked(proposer: str, trials: int, folder: Path) -> dict[str, Any]:
    """A search of so many trials; milliseconds a trial in each quarter, and megabytes after each."""
    task = prepare("digits")
    recipe, space = from_mapping(SPACE, task)
    study = Study.create(folder, proposer, task, space)
    deciding = Deciding(study, resolve(recipe, task), space, Clock(Budget(trials=trials)), PROPOSERS[proposer](), ASHA())
    dice, marks, began = np.random.default_rng(0), [], time.process_time()
    memory, legs = list[float](), 0
    while True:
        trial = deciding.claimed()
        if trial is None:
            break
        legs += 1
        for at in range(int(epoch(trial)) + 1, int(np.ceil(goal(trial))) + 1):
            value = float(
                1 - np.exp(-at / 9) * (0.5 + 0.1 * dice.random()) - 0.1 * abs(np.log10(trial.dials["optimizer.lr"]) + 2.5)
            )
            study.report(
                trial.number, Point(at, float(at), Measure(value, value - 0.01, value + 0.01, 359), 1.0, 1.0, 0.1, 0.1 * at)
            )
        if goal(trial) >= 27:
            study.tell(trial.number, "done", "all 27 epochs are done", 2.7)
        else:
            study.pause(trial.number, 0.1 * goal(trial))
        if len(study) * 4 // trials > len(marks):
            marks.append(time.process_time() - began)
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    quarters = np.diff([0.0, *marks[:4]]) / (trials / 4) * 1e3
    return {
        "trials": len(study), "legs": legs, "ms_a_trial": round(1e3 * (time.process_time() - began) / len(study), 2),
        "ms_a_trial_by_quarter": quarters.round(2).tolist(),
        "peak_mb_by_quarter": [round(one) for one in memory],
    }  # fmt: skip


def told(folder: Path, trials: int = 1000, points: int = 100) -> dict[str, Any]:
    """How long a study of so many points takes to open, and its report to write."""
    task = prepare("digits")
    recipe, space = from_mapping(SPACE, task)
    study = Study.create(folder, "points", task, space)
    deciding = Deciding(study, resolve(recipe, task), space, Clock(Budget(trials=trials)), PROPOSERS["random"](), ASHA())
    dice = np.random.default_rng(0)
    while (trial := deciding.claimed()) is not None:
        for at in range(1, points + 1):
            value = float(1 - np.exp(-at / 30) * (0.5 + 0.1 * dice.random()))
            study.report(
                trial.number, Point(at, float(at), Measure(value, value - 0.01, value + 0.01, 359), 1.0, 1.0, 0.1, 0.1 * at)
            )
        study.tell(trial.number, "done", "done", 1.0)
    began = time.process_time()
    trials_of = Study.open(folder, looking=True).trials()
    opened = time.process_time() - began
    story = Story("points", trials=trials_of, task=task.summary())
    path = write(folder / "report.html", story)
    whole = time.process_time() - began
    held = sum(len(trial.curve) for trial in trials_of)
    return {
        "points": held,
        "open_s": round(opened, 2),
        "open_and_write_s": round(whole, 2),
        "report_mb": round(path.stat().st_size / 1e6, 1),
    }


def main() -> None:
    """One line a proposer, and one for the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("proposers", nargs="*")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--print", action="store_true", help="print only; record nothing")
    args = parser.parse_args()
    say = (
        (lambda claim, found: print(claim, found, flush=True))
        if args.print
        else (lambda claim, found: record("overhead", claim, found))
    )
    for name in args.proposers or ("random", "tpe", "curves"):
        with tempfile.TemporaryDirectory() as place:
            say(f"{name}: overhead of a trial", walked(name, args.trials, Path(place)))
    if not args.proposers:
        with tempfile.TemporaryDirectory() as place:
            say("report of 100,000 points", told(Path(place)))


if __name__ == "__main__":
    main()
