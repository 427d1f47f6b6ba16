"""The numbers of the loop, the plan, the stack and its scaling on a GPU, in one run, beside what the chip was measured to do.

    python benchmarks/gpu.py [limits] [loop] [plan] [stack] [costs]      all by default; a line each in results/gpu.jsonl
    python benchmarks/gpu.py ... --dry                                   on the CPU, tiny, to see that all of it works; nothing is recorded

    limits   multiply-adds a second of a large product in fp32, tf32 and bf16; bytes a second of a large copy
    loop     our loop against one written by hand, both fused: wanted 1.05 times for 784-10-10, 1.01 for two convolutions, at batch 100
    plan     two convolutions at batch 100: the plan's way against a tutorial's loop: wanted 2.5 times
    stack    K trials as a stack against one after the other: two convolutions at batch 128, K = 64: wanted 8 times; and the small MLPs
    costs    a step over batch and width, beside the least that the limits allow

Sides take turns; every time is taken when the device has done all that it was given. Two processes on two GPUs are measured by
`scaling.py ranks`, which this does not start; times to 94 % of CIFAR-10 by `recipes.py run cifar10 10`.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from loop import two_convolutions
from record import record
from scaling import task_of
from torch import nn
from torch.nn import functional as F

from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.plan import planned
from tuneful.pipeline.stack import Stack
from tuneful.pipeline.step import arithmetic
from tuneful.pipeline.train import Run
from tuneful.techniques.models import MLP, Own
from tuneful.techniques.optimizers import AdamW
from tuneful.techniques.schedules import Constant

NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "784-10-10": (MLP(width=10, depth=1), (784,)),
    "784-128-10": (MLP(width=128, depth=1), (784,)),
    "two convolutions": (Own.of(two_convolutions), (1, 28, 28)),
}


@dataclass(frozen=True)
class Place:
    """Where, and how much of everything: of steps, rounds, members, rows and sizes a share."""

    device: str
    dry: bool

    def some(self, many: int, few: int) -> int:
        return few if self.dry else many

    def now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def told(self, claim: str, figures: dict[str, Any]) -> None:
        chip = torch.cuda.get_device_name() if self.device == "cuda" else "cpu"
        if self.dry:
            print(json.dumps({"claim": claim, "chip": chip, **figures}), flush=True)
        else:
            record("gpu", claim, {"chip": chip, **figures})

    def turns(self, sides: dict[str, Callable[[int], object]], steps: int, rounds: int) -> dict[str, list[float]]:
        """Seconds a step of each side, round by round."""
        seconds: dict[str, list[float]] = {who: [] for who in sides}
        for at in range(rounds + 1):
            for who, go in sides.items():
                began = self.now()
                go(steps)
                if at:  # the first is for warming up
                    seconds[who].append((self.now() - began) / steps)
        return seconds


def spread(values: list[float]) -> list[float]:
    return [round(f(values), 4) for f in (statistics.median, min, max)]


def ratios(above: list[float], below: list[float]) -> list[float]:
    return spread([a / b for a, b in zip(above, below, strict=True)])


def recipe(name: str, batch: int, **changed: Any) -> Recipe:
    return Recipe(
        model=NETWORKS[name][0], optimizer=AdamW(), schedule=Constant(), regularizers=(), augments=(), batch_size=batch, epochs=1e5,
        validate_every=1e5, precision="fp32", threads=1,
    ).replace(changed)  # fmt: skip


def run_of(at: Place, task: Task, how: Recipe) -> Run:
    """A run whose watch is over: nothing but steps."""
    run = Run(task, resolve(how, task), device=at.device)
    run.early.steps = 0
    run.network.train()
    return run


def by_hand(run: Run, batch: int, fused: bool = True) -> Callable[[int], object]:
    """What one writes: rows taken by number from the device's memory, losses summed without being read. Not fused: a tutorial's."""
    x, y = run.network.front(torch.from_numpy(run.task.train.x).float().to(run.device)), run.batches.y
    body: nn.Module = Run(run.task, run.recipe, device=run.device.type).body.train()
    optimizer = torch.optim.AdamW(body.parameters(), lr=1e-3, fused=fused)

    def go(steps: int) -> object:
        total = torch.zeros((), device=x.device)
        for _ in range(steps):
            rows = torch.randint(len(y), (batch,), device=x.device)
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(body(x.index_select(0, rows)), y.index_select(0, rows))
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return total

    return go


# ------------------------------------------------------------------------------------------------------------- parts


def limits(at: Place) -> dict[str, float]:
    """The largest of some: multiply-adds a second by type, bytes a second."""
    side, found = at.some(8192, 128), {}
    before = torch.backends.cuda.matmul.allow_tf32
    for name, kind in (("fp32", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16)):
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        a = torch.randn(side, side, device=at.device).to(kind)
        seconds = at.turns({"product": lambda n, a=a: [a @ a for _ in range(n)]}, 5, 7)["product"]
        found[f"multiply_adds_per_s_{name}"] = side**3 / min(seconds)
    torch.backends.cuda.matmul.allow_tf32 = before
    long = torch.randn(at.some(2**28, 2**12), device=at.device)
    other = torch.empty_like(long)
    seconds = at.turns({"copy": lambda n: [other.copy_(long) for _ in range(n)]}, 5, 7)["copy"]
    found["bytes_per_s"] = 2 * 4 * long.numel() / min(seconds)
    at.told("what the chip does at most", found)
    return found


def loop(at: Place) -> None:
    """Our loop with plan=off."""
    for name, wanted in (("784-10-10", 1.05), ("two convolutions", 1.01)):
        task = task_of(NETWORKS[name][1], at.some(20_000, 300))
        run = run_of(at, task, recipe(name, 100))
        seconds = at.turns({"hand": by_hand(run, 100), "ours": run.advance}, at.some(300, 3), at.some(15, 2))
        at.told("our loop costs no more than one written by hand", {
            "network": name, "batch": 100, "wanted": wanted, "times": ratios(seconds["ours"], seconds["hand"]),
            "us_a_step": {who: round(1e6 * statistics.median(one), 1) for who, one in seconds.items()},
        })  # fmt: skip


def plan(at: Place) -> None:
    """What the plan chooses for the CNN, and how much faster it is than a tutorial's loop."""
    name = "two convolutions"
    task = task_of(NETWORKS[name][1], at.some(20_000, 300))
    run = run_of(at, task, recipe(name, 100, precision="auto"))
    found = planned(run, most=at.some(60, 1))
    run.early.steps = 0
    sides = {"tutorial": by_hand(run, 100, fused=False), "plan": run.advance}
    seconds = at.turns(sides, at.some(300, 2), at.some(15, 2))
    at.told("the plan makes a CNN of two convolutions at least 2.5 times as fast as a plain loop", {
        "plan": str(found.chosen), "planning_s": found.seconds, "wanted": 2.5, "times": ratios(seconds["tutorial"], seconds["plan"]),
    })  # fmt: skip


def stack(at: Place) -> None:
    """Steps of K runs one after the other, and of K members at once, in full width."""
    for name, batch, k, wanted in (
        ("two convolutions", 128, at.some(64, 3), 8.0), ("784-10-10", 32, at.some(32, 3), 4.0), ("784-128-10", 32, at.some(16, 3), 1.3),
    ):  # fmt: skip
        task = task_of(NETWORKS[name][1], at.some(8000, 300))
        members = [resolve(recipe(name, batch, **{"seed": n, "optimizer.lr": 1e-3 * (1 + n / k)}), task) for n in range(k)]
        run, side = run_of(at, task, members[0]), Stack(task, members, device=at.device, width=k)
        for one in side.runs.values():
            one.early.steps = 0
        side._lay()
        if side.bank is None:
            at.told("K trials train faster as a stack", {"network": name, "reason": side.reason})
            continue
        seconds = at.turns({"alone": run.advance, "stack": side._advance}, at.some(50, 2), at.some(9, 2))
        at.told("K trials train faster as a stack than one after the other", {
            "network": name, "batch": batch, "members": k, "wanted": wanted, "reason": side.reason,
            "graphs": len(side.graphs.known), "times": ratios([k * one for one in seconds["alone"]], seconds["stack"]),
            "ms_of_all": round(1e3 * statistics.median(seconds["stack"]), 3),
        })  # fmt: skip


def costs(at: Place, measured: dict[str, float]) -> None:
    """An MLP of 64 inputs and two hidden layers, one thing changed at a time."""
    base = {"batch": 256, "width": 256}
    sizes = [{**base, "batch": n} for n in (32, 1024, 4096)] + [{**base, "width": n} for n in (16, 1024)] + [base]
    for size in sizes[:2] if at.dry else sizes:
        task = task_of((64,), at.some(20_000, 2 * size["batch"]))
        run = run_of(at, task, recipe("784-10-10", size["batch"], model=MLP(width=size["width"], depth=2)))
        seconds = at.turns({"step": run.advance}, at.some(200, 2), at.some(7, 2))["step"]
        weights = [p for p in run.params if p.ndim == 2]
        adds = size["batch"] * (3 * sum(p.numel() for p in weights) - weights[0].numel())
        moved = 4 * (7 * sum(p.numel() for p in run.params) + size["batch"] * (2 * 64 + 8 * 2 * size["width"]))
        least = adds / measured["multiply_adds_per_s_fp32"] + moved / measured["bytes_per_s"]
        at.told("the cost of a step beside what arithmetic and memory allow", {
            **size, "ms": spread([1e3 * one for one in seconds]), "times_the_limit": round(statistics.median(seconds) / least, 2),
        })  # fmt: skip


def main(words: list[str]) -> int:
    """Returns the exit code: 3 where there is no GPU."""
    dry, asked = "--dry" in words, [word for word in words if word != "--dry"]
    parts: dict[str, Callable[[Place], object]] = {"limits": limits, "loop": loop, "plan": plan, "stack": stack}
    if unknown := [word for word in asked if word not in (*parts, "costs")]:
        print(f"{', '.join(unknown)} is none of {', '.join(parts)}, costs", file=sys.stderr)
        return 2
    if not dry and not torch.cuda.is_available():
        print(
            "there is no GPU here, so none of the GPU's numbers were measured; --dry tries the script on the CPU",
            file=sys.stderr,
        )
        return 3
    at = Place("cpu" if dry else "cuda", dry)
    with arithmetic(1):
        for name in [word for word in asked if word in parts] or ([] if asked else list(parts)):
            parts[name](at)
        if "costs" in asked or not asked:
            costs(at, limits(at))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
