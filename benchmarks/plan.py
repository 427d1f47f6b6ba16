"""Claim: the plan makes a CNN of two convolutions at least 2.5 times as fast as a plain loop, at the same accuracy, and finds nearly the best way.

    python benchmarks/plan.py cnn         ratio to the plain loop, and accuracy on MNIST over 5 seeds with and without it
    python benchmarks/plan.py pairs       6 networks and their data: the plan's way against the best of all, timed exhaustively
    python benchmarks/plan.py process     `tuneful train digits epochs=20` against a bare script for the same training (`bare.py`)

Rounds take turns, as in `loop.py`, whose clock is used too. The plain loop is torch's: fp32, rows, the optimizer as it comes.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import loop
import numpy as np
import torch
from record import record
from torch.nn import functional as F

from tuneful import prepare
from tuneful.core.execution import Execution
from tuneful.core.recipe import Recipe
from tuneful.pipeline import judge
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.plan import LOSSES, Bench, planned
from tuneful.pipeline.step import arithmetic
from tuneful.pipeline.train import Run
from tuneful.techniques.models import GRU, MLP, ConvNet, LeNet, Own, ResNet9, TabM

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
SEEDS = range(5)


def textbook(run: Run) -> loop.Loop:
    """The loop of a tutorial: fp32, rows, Adam as torch builds it, the loss read for its running mean at the end alone."""
    x, y = run.network.front(torch.from_numpy(run.task.train.x).float()), run.batches.y
    body = loop.two_convolutions().train()
    optimizer = torch.optim.AdamW(body.parameters(), lr=1e-3)
    dice = torch.Generator().manual_seed(0)

    def go(steps: int) -> float:
        total = torch.zeros(())
        for _ in range(steps):
            rows = torch.randint(len(y), (loop.BATCH,), generator=dice)
            optimizer.zero_grad()
            loss = F.cross_entropy(body(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return float(total)

    return go


def cnn() -> None:
    """Speed by turns, then accuracy of both ways from the same seeds."""
    run = loop.run_of("cnn")
    recipe = resolve(run.recipe.replace(precision="auto", threads=1), run.task)
    fast = Run(run.task, recipe, device="cpu")
    found = planned(fast, most=20.0)
    loops = {"textbook": textbook(run), "hand, fused": loop.by_hand(run), "plan": loop.ours(fast)}
    seconds: dict[str, list[float]] = {who: [] for who in loops}
    with arithmetic(1):
        for who in loops:
            loops[who](10 if who != "plan" else 210)
        for _ in range(15):
            for who, one in loops.items():
                seconds[who].append(loop.timed(one, 8))
    figures: dict[str, Any] = {"plan": str(found.chosen), "planning_s": found.seconds}
    for who in ("textbook", "hand, fused"):
        ratios = sorted(a / b for a, b in zip(seconds[who], seconds["plan"], strict=True))
        figures[f"{who} over plan"] = [round(v, 3) for v in (statistics.median(ratios), ratios[3], ratios[-4])]
    figures["ms_a_step"] = {who: round(1e3 * statistics.median(s), 2) for who, s in seconds.items()}
    record("plan", "the plan makes a CNN of two convolutions at least 2.5 times as fast as a plain loop", figures)
    if not (DATA / "mnist").is_dir():
        print("mnist is not here; accuracy is left out", file=sys.stderr)
        return
    task = prepare(str(DATA / "mnist"), limit=12_000)
    scores: dict[str, list[float]] = {"fp32": [], "plan": []}
    for seed in SEEDS:
        recipe = resolve(Recipe(
            model=Own.of(loop.two_convolutions), regularizers=(), augments=(), batch_size=100, epochs=3.0, seed=seed, threads=1,
        ), task)  # fmt: skip
        for who, how in (("fp32", Execution()), ("plan", found.chosen)):
            one = Run(task, recipe, device="cpu", execution=how)
            list(one)
            scores[who].append(
                judge.score("accuracy", judge.predict(one.network, task.valid.x, kind=task.kind), task.valid.y)
            )
    gaps = np.array(scores["plan"]) - np.array(scores["fp32"])
    half = 2.776 * gaps.std(ddof=1) / len(gaps) ** 0.5  # Student's t, 4 degrees of freedom
    record("plan", "at the same accuracy", {
        "data": f"mnist, {len(task.train)} train, 3 epochs, fp32 judging on {len(task.valid)}", "plan": str(found.chosen),
        "accuracy": {who: [round(v, 4) for v in found] for who, found in scores.items()},
        "difference": [round(float(v), 5) for v in (gaps.mean(), gaps.mean() - half, gaps.mean() + half)],
    })  # fmt: skip


def made(name: str) -> tuple[Any, Recipe]:
    """A task that is made, and a recipe: the time of a step does not hang on what the numbers mean."""
    dice = np.random.default_rng(0)
    y = dice.integers(0, 10, 1500).astype(str)
    if name == "gru":
        x, model, batch = dice.standard_normal((1500, 6, 64)).astype("f4"), GRU(width=64), 32
    elif name in ("mlp", "tabm"):
        x = dice.standard_normal((1500, 784 if name == "mlp" else 20)).astype("f4")
        model, batch = (MLP(width=128, depth=2), 128) if name == "mlp" else (TabM(), 128)
    else:
        side, channels = (28, 1) if name == "lenet" else (32, 3)
        x = dice.integers(0, 256, (1500, channels, side, side)).astype("u1")
        model = {"lenet": LeNet(), "convnet": ConvNet(width=32), "resnet9": ResNet9(width=16)}[name]
        batch = 100 if name == "lenet" else 64
    words = {"form": "series"} if name == "gru" else {}
    task = prepare((x, y), **words)
    return task, resolve(Recipe(model=model, batch_size=batch, epochs=1e4, threads=1), task)


def pairs() -> None:
    """All combinations of layout, precision, optimizer and parts that agree, each timed in turn; then the plan's choice among them."""
    for name in ("lenet", "convnet", "resnet9", "mlp", "tabm", "gru"):
        task, recipe = made(name)
        run = Run(task, recipe, device="cpu")
        found = planned(run, steps=3000, most=10.0)
        run = Run(task, recipe, device="cpu")
        bench = Bench(run)
        base = bench.measured(Execution(threads=run.execution.threads))
        images = len(task.shape) == 3
        ways = [
            Execution(layout=layout, precision=precision, fused=fused, parts=parts, threads=run.execution.threads)
            for layout, precision, fused, parts in itertools.product(
                ("rows", "channels_last") if images else ("rows",), ("fp32", "bf16"), (True, False), (1, 2)
            )
        ]
        agree = [way for way in ways if bench.judged(way, base).verdict != "rejected"]
        times: dict[Execution, list[float]] = {way: [] for way in {*agree, found.chosen}}
        for _ in range(3):
            for way, seen in times.items():
                seen.append(bench.measured(way).ms)
        best = min(times, key=lambda way: min(times[way]))
        record("plan", "the plan's way is within 10 % of the best of all", {
            "network": name, "batch": int(recipe.batch_size), "ways": len(ways), "agreeing": len(agree), "allowed_off": LOSSES,
            "plan": str(found.chosen), "best": str(best), "planning_s": found.seconds, "plan_ms": round(min(times[found.chosen]), 3),
            "best_ms": round(min(times[best]), 3), "plan_over_best": round(min(times[found.chosen]) / min(times[best]), 3),
            "plain_ms": round(base.ms, 3),
        })  # fmt: skip


def process() -> None:
    """From the shell to the sealed run, against the bare script, by turns."""
    walls: dict[str, list[float]] = {"bare": [], "tuneful": []}
    for _ in range(3):
        for who in walls:
            with tempfile.TemporaryDirectory() as home:
                line = [sys.executable, str(Path(__file__).with_name("bare.py"))]
                if who == "tuneful":
                    line = [sys.executable, "-m", "tuneful.cli", "train", "digits", "epochs=20"]
                began = time.perf_counter()
                subprocess.run(line, env={**os.environ, "TUNEFUL_HOME": home}, check=True, capture_output=True)
                walls[who].append(time.perf_counter() - began)
    ratios = sorted(a / b for a, b in zip(walls["tuneful"], walls["bare"], strict=True))
    record("plan", "train digits epochs=20 from the shell to the sealed run, in times of a bare script", {
        "ratio": round(statistics.median(ratios), 2), "spread": [round(ratios[0], 2), round(ratios[-1], 2)],
        "seconds": {who: [round(v, 2) for v in found] for who, found in walls.items()},
    })  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    parts = {"cnn": cnn, "pairs": pairs, "process": process}
    for name in [word for word in sys.argv[1:] if word in parts] or list(parts):
        parts[name]()


if __name__ == "__main__":
    main()
