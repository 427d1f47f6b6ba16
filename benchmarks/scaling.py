"""Claim: two processes on two cores train a network of usual size at least 1.6 times as fast as one.

    python benchmarks/scaling.py ranks     steps of one process with one thread, and of two that share its batches, in turn
    python benchmarks/scaling.py costs     milliseconds a step over batch, width and rows, beside what the arithmetic and memory allow

In `ranks` both are measured inside of one group: rank 1 waits while rank 0 trains alone, then they train together, then each trains half a batch without a word to the other: what the machine
gives two processes at most. In `costs` the
limits are measured too: a large product of matrices, a large copy; a step of an MLP does 3 multiply-adds for each weight and example (less
the gradient of its inputs), and AdamW moves 7 numbers for each weight.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from loop import two_convolutions
from record import record

from tuneful import prepare
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.ranks import ALONE, Ranks, join
from tuneful.pipeline.train import Run
from tuneful.techniques.models import MLP, Own, ResNet9
from tuneful.techniques.optimizers import AdamW
from tuneful.techniques.schedules import Constant

CASES: dict[str, tuple[Any, tuple[int, ...], int]] = {
    "two convolutions, batch 100": (Own.of(two_convolutions), (1, 28, 28), 100),
    "two convolutions, batch 512": (Own.of(two_convolutions), (1, 28, 28), 512),
    "mlp 784-1024-1024-10, batch 512": (MLP(width=1024, depth=2), (784,), 512),
    "resnet9 of width 16, batch 128": (ResNet9(width=16), (3, 32, 32), 128),
    "mlp 784-10-10, batch 100": (MLP(width=10, depth=1), (784,), 100),
}
ROUNDS = 5


def task_of(shape: tuple[int, ...], rows: int) -> Task:
    """Noise of ten classes."""
    dice = np.random.default_rng(0)
    x = dice.standard_normal((rows * 5 // 3, *shape)).astype("f4")
    return prepare((x, dice.integers(0, 10, len(x)).astype(str)), scale="deviation" if len(shape) == 1 else "auto")


def run_of(task: Task, model: Any, batch: int, ranks: Ranks = ALONE) -> Run:
    """A run whose watch is over: nothing but steps."""
    recipe = Recipe(
        model=model, optimizer=AdamW(), schedule=Constant(), regularizers=(), augments=(), batch_size=batch, epochs=1e5,
        validate_every=1e5, precision="fp32", threads=1,
    )  # fmt: skip
    run = Run(task, recipe, device="cpu", ranks=ranks)
    run.early.steps = 0
    run.network.train()
    return run


def timed(run: Run, steps: int) -> float:
    """Seconds a step."""
    began = time.perf_counter()
    run.advance(steps)
    return (time.perf_counter() - began) / steps


def rank() -> None:
    """What each process of the group does."""
    ranks = join("cpu")
    for name, (model, shape, batch) in CASES.items():
        task = task_of(shape, 2000)
        alone, both = run_of(task, model, batch), run_of(task, model, batch, ranks)
        apart = run_of(task, model, batch // 2)
        steps = int(ranks.told(max(3, min(200, round(0.4 / max(timed(alone, 3), 1e-4))))))
        both.advance(3)
        pairs: list[tuple[float, float, float]] = []
        for _ in range(ROUNDS):
            ranks.told()
            one = timed(alone, steps) if ranks.leads else 0.0
            ranks.told()
            two = timed(both, steps)
            ranks.told()
            pairs.append((one, two, timed(apart, steps)))
        if ranks.leads:
            ratios, ceiling = sorted(one / two for one, two, _ in pairs), sorted(one / free for one, _, free in pairs)
            figures = {
                "case": name, "steps": steps, "rounds": ROUNDS, "ms_alone": round(1e3 * statistics.median(one for one, _, _ in pairs), 3),
                "ms_together": round(1e3 * statistics.median(two for _, two, _ in pairs), 3),
                "times_faster": [round(v, 3) for v in (statistics.median(ratios), ratios[1], ratios[-2])], "times_faster_without_a_word": [round(v, 3) for v in (statistics.median(ceiling), ceiling[1], ceiling[-2])],
            }  # fmt: skip
            print(figures, flush=True)
            record("scaling", "two processes on two cores are at least 1.6 times as fast as one", figures)
    ranks.leave()


def together() -> None:
    """Begin two processes of this script."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        told = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free.getsockname()[1]),
            "WORLD_SIZE": "2",
            "OMP_NUM_THREADS": "1",
        }
    found = [
        subprocess.Popen([sys.executable, __file__, "rank"], env={**os.environ, **told, "RANK": str(k)}) for k in (0, 1)
    ]
    codes = [one.wait() for one in found]
    if any(codes):
        raise SystemExit("a process has failed")


def limits() -> tuple[float, float]:
    """Multiply-adds and bytes a second of one thread, the best of some."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    long = torch.randn(2**25)
    other = torch.empty_like(long)

    def best(do: Any) -> float:
        times = []
        for _ in range(7):
            began = time.perf_counter()
            do()
            times.append(time.perf_counter() - began)
        return min(times)

    return 1024**3 / best(lambda: a @ b), 2 * 4 * long.numel() / best(lambda: other.copy_(long))


def costs() -> None:
    """One thread, an MLP of 64 inputs and two hidden layers."""
    torch.set_num_threads(1)
    arithmetic, bandwidth = limits()
    print(f"{arithmetic / 1e9:.1f} G multiply-adds/s, {bandwidth / 1e9:.1f} GB/s")
    base = {"batch": 256, "width": 256, "rows": 20_000}
    cells = [{**base, "batch": n} for n in (32, 128, 512, 2048, 4096)]
    cells += [{**base, "width": n} for n in (16, 64, 1024)] + [base]
    cells += [{**base, "rows": n} for n in (1000, 100_000, 1_000_000)]
    for cell in cells:
        run = run_of(task_of((64,), cell["rows"]), MLP(width=cell["width"], depth=2), min(cell["batch"], cell["rows"]))
        run.advance(5)
        steps = max(3, round(0.3 / timed(run, 5)))
        ms = sorted(1e3 * timed(run, steps) for _ in range(5))
        weights = [p for p in run.params if p.ndim == 2]
        adds = cell["batch"] * (3 * sum(p.numel() for p in weights) - weights[0].numel())
        moved = 4 * (7 * sum(p.numel() for p in run.params) + cell["batch"] * (2 * 64 + 8 * 2 * cell["width"]))
        floor = 1e3 * (adds / arithmetic + moved / bandwidth)
        figures = {**cell, "ms": [round(v, 4) for v in (ms[2], ms[0], ms[-1])], "limit_ms": round(floor, 4),
                   "times_the_limit": round(ms[2] / floor, 2), "multiply_adds_per_s": arithmetic, "bytes_per_s": bandwidth}  # fmt: skip
        print(figures, flush=True)
        record("scaling", "the cost of a step beside what arithmetic and memory allow", figures)


if __name__ == "__main__":
    {"ranks": together, "rank": rank, "costs": costs}[sys.argv[1] if len(sys.argv) > 1 else "ranks"]()
