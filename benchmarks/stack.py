"""Claim: K small trials train faster as one stack than one after the other in our own loop, and never slower by more than 3 %.

    python benchmarks/stack.py [CASES] [--steps N] [--rounds N]      all cases by default; "tiny" tries the script

Both sides are whole trainings on one thread, from the first step to the last, data in memory, fused optimizer: K single runs one
after the other, and a stack that measures its width itself; they take turns. Seeds and rates differ from member to member, so each
has batches of its own. The first 200 steps of a run are watched, which slows stacks more than single runs: `later` is the same
ratio for steps after them. A figure is the median over the rounds, beside the least and the largest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from record import record
from torch import nn

from tuneful.core.recipe import Recipe
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline.stack import Stack
from tuneful.pipeline.step import arithmetic
from tuneful.pipeline.train import Run
from tuneful.techniques.models import MLP, Own
from tuneful.techniques.optimizers import AdamW
from tuneful.techniques.schedules import Constant

ROWS, BATCH = 2048, 32


class SmallNet(nn.Sequential):
    """Two convolutions of stride 2, of 8 and 16 channels, and a linear layer."""

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        side = (inputs[1] + 3) // 4
        super().__init__(
            nn.Conv2d(inputs[0], 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(16 * side * side, outputs),
        )  # fmt: skip


def task(shape: tuple[int, ...], kind: str) -> Task:
    """Classes of random examples."""
    dice = np.random.default_rng(0)
    split = [Split(dice.normal(size=(n, *shape)).astype(np.float32), dice.integers(0, 10, n)) for n in (ROWS, 256, 256)]
    return Task("made", "multiclass", shape, tuple(map(str, range(10))), split[0], split[1], Sealed(split[2]),
                Objective("accuracy", "max"), f"{kind}{shape}", {"kind": kind, "shape": list(shape)})  # fmt: skip


CASES: dict[str, tuple[tuple[int, ...], str, Callable[[], Any], int]] = {
    "mlp 32-32-10": ((32,), "vector", lambda: MLP(width=32, depth=1), 32),
    "mlp 784-10-10": ((784,), "vector", lambda: MLP(width=10, depth=1), 32),
    "mlp 784-128-10": ((784,), "vector", lambda: MLP(width=128, depth=1), 16),
    "mlp 784-1024-10": ((784,), "vector", lambda: MLP(width=1024, depth=1), 4),
    "convnet 8, 16": ((1, 28, 28), "image", lambda: Own.of(SmallNet), 16),
    "tiny": ((8,), "vector", lambda: MLP(width=8, depth=1), 4),
}


def recipes(case: str, steps: int) -> list[Recipe]:
    """Members that differ in seed and rate."""
    _, _, model, k = CASES[case]
    base = Recipe(
        model=model(), optimizer=AdamW(), schedule=Constant(), regularizers=(), augments=(), batch_size=BATCH,
        epochs=steps * BATCH / ROWS, validate_every=steps * BATCH / ROWS, threads=1, precision="fp32",
    )  # fmt: skip
    return [base.replace({"seed": n, "optimizer.lr": 1e-3 * (1 + n / k)}) for n in range(k)]


def whole(on: Task, members: list[Recipe]) -> tuple[float, float, str]:
    """Seconds of all trainings one after the other, and as a stack, and why the stack stepped as it did."""
    runs = [Run(on, one) for one in members]
    began = time.perf_counter()
    for run in runs:
        list(run)
    alone = time.perf_counter() - began
    stack = Stack(on, members)
    began = time.perf_counter()
    list(stack)
    return alone, time.perf_counter() - began, stack.reason


def later(on: Task, members: list[Recipe], rounds: int) -> list[float]:
    """The ratio for steps after the watch is over, in the full width."""
    run, stack, k = Run(on, members[0]), Stack(on, members, width=len(members)), len(members)
    found: list[float] = []
    with arithmetic(1):
        for one in (run, *stack.runs.values()):
            one.early.steps = 0
        stack._lay()
        for _ in range(rounds + 1):
            times = []
            for step, many in ((run._one_step, 40), (lambda: stack._tick(0, k), 10)):
                began = time.perf_counter()
                for _ in range(many):
                    step()
                times.append((time.perf_counter() - began) / many)
            found.append(k * times[0] / times[1])
    return found[1:]


def spread(values: list[float]) -> list[float]:
    return [round(f(values), 3) for f in (statistics.median, min, max)]


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("cases", nargs="*")
    words.add_argument("--steps", type=int, default=640)
    words.add_argument("--rounds", type=int, default=3)
    asked = words.parse_args()
    torch.set_num_threads(1)
    chosen = asked.cases or [case for case in CASES if case != "tiny"]
    if unknown := [case for case in chosen if case not in CASES]:
        raise SystemExit(f"{', '.join(unknown)} is none of {', '.join(CASES)}")
    for case in chosen:
        shape, kind, _, k = CASES[case]
        on, members = task(shape, kind), recipes(case, asked.steps)
        found = [whole(on, members) for _ in range(asked.rounds)]
        figures: dict[str, Any] = {
            "case": case, "members": k, "batch": BATCH, "steps": asked.steps, "rounds": asked.rounds, "threads": 1,
            "ms_a_step_of_one_alone": round(1e3 * statistics.median(one[0] for one in found) / k / asked.steps, 4),
            "times_faster": spread([alone / stacked for alone, stacked, _ in found]),
            "times_faster_later": spread(later(on, members, 7)), "reason": found[-1][2],
        }  # fmt: skip
        if case == "tiny":  # to see that all of it works; nothing is recorded
            print(json.dumps(figures), flush=True)
        else:
            record("stack", "K trials train faster as a stack than one after the other", figures)


if __name__ == "__main__":
    main()
