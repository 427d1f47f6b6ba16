"""Claim: with plan=off our loop costs at most 1.05 times a hand-written one for a small MLP, 1.01 times for a CNN of two convolutions.

    python benchmarks/loop.py [mlp] [cnn]          both networks by default; "tiny" tries the script

Every loop sees the same tensors in memory, batches of 100, the same body and torch.optim.AdamW, fused, with the same groups. Rounds take turns (A B A B ...) in one
process on one thread, each of some hundred steps; a figure is the median over the rounds of the ratio to the hand-written loop in the same
round, with the lowest and the highest. Time is that of the thread's processor, so that other work on the machine counts
little; real-time priority does the rest. `benchmarks/trainers.py` sets other trainers beside both.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from record import record
from torch import nn
from torch.nn import functional as F

from tuneful import prepare
from tuneful.core.recipe import Recipe
from tuneful.pipeline.step import arithmetic
from tuneful.pipeline.train import Run
from tuneful.techniques.models import MLP, Own
from tuneful.techniques.optimizers import AdamW
from tuneful.techniques.schedules import Constant

BATCH, EXAMPLES = 100, 10_000
STEPS = {"mlp": 400, "cnn": 24}  # of a round
ROUNDS = {"mlp": 31, "cnn": 15}
SHAPES = {"mlp": (784,), "cnn": (1, 28, 28)}

Loop = Callable[[int], float]
"""Do so many steps, and return the sum of their losses."""


def two_convolutions() -> nn.Module:
    """Two convolutions of 32 and 64 maps, each halved by pooling, and two dense layers."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def run_of(name: str) -> Run:
    """Our run: no augments, no regularizers, a constant rate, fp32 and no plan."""
    dice = np.random.default_rng(0)
    x = dice.standard_normal((EXAMPLES * 5 // 3, *SHAPES[name])).astype("f4")
    task = prepare((x, dice.integers(0, 10, len(x)).astype(str)), scale="deviation" if name == "mlp" else "auto")
    model: Any = MLP(width=10, depth=1) if name == "mlp" else Own.of(two_convolutions)
    recipe = Recipe(
        model=model, optimizer=AdamW(), schedule=Constant(), regularizers=(), augments=(), batch_size=BATCH, epochs=1e5,
        validate_every=1e5, precision="fp32", threads=1,
    )  # fmt: skip
    return Run(task, recipe, device="cpu")


def ours(run: Run) -> Loop:
    """The run as its users walk it, with a beat at every step; no validation falls due. Its watch ends with the warm-up."""
    walk = run.walk(beat=0.0)

    def go(steps: int) -> float:
        for _ in range(steps):
            next(walk)
        return float(run.step)

    return go


def by_hand(run: Run) -> Loop:
    """What a careful person writes: an order for each epoch, rows taken by number, losses summed without being read."""
    x, y, body = run.network.front(torch.from_numpy(run.task.train.x).float()), run.batches.y, copy.deepcopy(run.body)
    named = dict(zip(run.body.parameters(), body.parameters(), strict=True))
    groups = [
        {"params": [named[p] for p in g["params"]], "weight_decay": g["weight_decay"]} for g in run.optimizer.param_groups
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
    total = torch.zeros((), dtype=torch.float64)
    per_epoch, dice, order, done = len(y) // BATCH, torch.Generator().manual_seed(0), torch.empty(0), 0
    body.train()

    def go(steps: int) -> float:
        nonlocal order, done
        for _ in range(steps):
            place = done % per_epoch
            if place == 0:
                order = torch.randperm(len(y), generator=dice)
            rows = order[place * BATCH : (place + 1) * BATCH]
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(body(x.index_select(0, rows)), y.index_select(0, rows))
            loss.backward()
            optimizer.step()
            total.add_(loss.detach())
            done += 1
        return float(total)

    return go


def timed(loop: Loop, steps: int) -> float:
    """Seconds of the processor a step."""
    began = time.thread_time()
    loop(steps)
    return (time.thread_time() - began) / steps


def measured(name: str, rounds: int, steps: int) -> dict[str, Any]:
    """Ratios to the loop by hand, with their spread, and microseconds a step."""
    run = run_of(name)
    loops = {"hand": by_hand(run), "ours": ours(run)}
    with arithmetic(1):
        for loop in loops.values():
            loop(max(250, steps))
        seconds: dict[str, list[float]] = {who: [] for who in loops}
        for _ in range(rounds):
            for who, loop in loops.items():
                seconds[who].append(timed(loop, steps))
    ratios = sorted(a / b for a, b in zip(seconds["ours"], seconds["hand"], strict=True))
    quarter = len(ratios) // 4
    return {
        "network": name, "batch": BATCH, "threads": 1, "rounds": rounds, "steps": steps,
        "ratio": round(statistics.median(ratios), 3), "quartiles": [round(ratios[quarter], 3), round(ratios[-1 - quarter], 3)],
        "spread": [round(ratios[0], 3), round(ratios[-1], 3)],
        "us_a_step": {who: round(1e6 * statistics.median(found), 1) for who, found in seconds.items()},
    }  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    tiny = "tiny" in sys.argv
    for name in [word for word in sys.argv[1:] if word in STEPS] or list(STEPS):
        figures = measured(name, 3 if tiny else ROUNDS[name], 5 if tiny else STEPS[name])
        if tiny:
            print(json.dumps(figures), flush=True)
        else:
            record("loop", "our loop costs no more than one written by hand", figures)


if __name__ == "__main__":
    main()
