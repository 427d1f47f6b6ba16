"""Claim: a step of ours takes no longer than the best of torch.optim's ways (loop, foreach, fused), and its state is the formula's.

    python benchmarks/optimizers.py [SIZES]            10k 1m 20m by default, in parameters

Of each optimizer the ways take turns (A B C A B C ...) in one process on one thread; a figure is the median over the rounds of the
ratio to ours in the same round, so that what slows the machine down for a while slows all of them. `make peers` makes an
environment in which pytorch_optimizer (and timm, where it can be imported) stands beside; without them their columns are absent.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from record import record
from torch import Tensor, nn

from tuneful.techniques.optimizers import TABLE, RuleOptimizer

SIZES = {"10k": (10_000, 10), "1m": (1_000_000, 20), "20m": (20_000_000, 40)}  # numbers, tensors
ROUNDS = 7
TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {}), "momentum": ("SGD", {"momentum": 0.9}), "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {}), "adadelta": ("Adadelta", {}), "rmsprop": ("RMSprop", {}), "adam": ("Adam", {}),
    "amsgrad": ("Adam", {"amsgrad": True}), "adamw": ("AdamW", {}), "nadam": ("NAdam", {}), "radam": ("RAdam", {}),
    "adamax": ("Adamax", {}), "adafactor": ("Adafactor", {}),
}  # fmt: skip
FUSED = ("SGD", "Adam", "AdamW", "Adagrad")
PEERS = {"lion": "Lion", "lamb": "Lamb", "lars": "LARS", "prodigy": "Prodigy", "adabound": "AdaBound", "nadam": "NAdam",
         "schedule_free_adamw": "ScheduleFreeAdamW", "adafactor": "AdaFactor", "adamw": "AdamW"}  # fmt: skip
TENSORS = {"sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "adadelta": 2, "rmsprop": 1, "adam": 2, "amsgrad": 3, "adamw": 2,
           "nadam": 2, "radam": 2, "adamax": 2, "lion": 1, "lamb": 2, "lars": 1, "prodigy": 4, "adabound": 2,
           "schedule_free_adamw": 2}  # fmt: skip


def network(size: str) -> list[nn.Parameter]:
    """Half of the tensors are matrices with nearly all of the numbers, half are small as biases are."""
    numbers, tensors = SIZES[size]
    side = int((numbers / (tensors // 2)) ** 0.5)
    dice = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(side, side, generator=dice) * 0.02) for _ in range(tensors // 2)]
    params += [nn.Parameter(torch.zeros(side)) for _ in range(tensors // 2)]
    for p in params:
        p.grad = torch.randn(p.shape, generator=dice) * 0.01
    return params


def ways(kind: str) -> dict[str, Callable[[Iterable[Tensor]], torch.optim.Optimizer]]:
    """What is compared: ours, torch's three ways, a peer's class."""
    found: dict[str, Callable[[Any], torch.optim.Optimizer]] = {"ours": lambda ps: TABLE[kind]().build(ps)}
    if kind in TORCH:
        name, words = TORCH[kind]
        cls = getattr(torch.optim, name)
        words = {"lr": 1e-3, **words}
        found["torch loop"] = lambda ps: cls(ps, foreach=False, **words)
        found["torch foreach"] = lambda ps: cls(ps, foreach=True, **words)
        if name in FUSED:
            found["torch fused"] = lambda ps: cls(ps, fused=True, **words)
    try:
        import pytorch_optimizer as others
    except ImportError:
        others = None
    if others is not None and kind in PEERS:
        found["pytorch_optimizer"] = lambda ps: getattr(others, PEERS[kind])(ps)
    try:
        import timm.optim as timm
    except (ImportError, RuntimeError):
        timm = None
    if timm is not None and kind in ("lion", "lamb", "lars"):
        found["timm"] = lambda ps: getattr(timm, kind.capitalize())(ps)
    return found


def kept(optimizer: torch.optim.Optimizer) -> int:
    """Numbers in the state, beside the counts of steps."""
    return sum(v.numel() for s in optimizer.state.values() for k, v in s.items() if isinstance(v, Tensor) and k != "step")


def measured(kind: str, size: str) -> dict[str, Any]:
    """Seconds of a step of ours, the others' as multiples of it, and the state's numbers per parameter."""
    params = {way: network(size) for way in ways(kind)}
    optimizers: dict[str, Any] = {way: build(params[way]) for way, build in ways(kind).items()}
    for optimizer in optimizers.values():
        if kind.startswith("schedule_free"):
            optimizer.train()
        for _ in range(3):
            optimizer.step()
    steps = {"10k": 200, "1m": 20, "20m": 2}[size]
    times: dict[str, list[float]] = {way: [] for way in optimizers}
    for _ in range(ROUNDS):
        for way, optimizer in optimizers.items():
            began = time.perf_counter()
            for _ in range(steps):
                optimizer.step()
            times[way].append((time.perf_counter() - began) / steps)
    ratios = {
        way: [
            round(f(a / b for a, b in zip(times[way], times["ours"], strict=True)), 3) for f in (statistics.median, min, max)
        ]
        for way in times
        if way != "ours"
    }
    count = sum(p.numel() for p in params["ours"])
    figures: dict[str, Any] = {
        "optimizer": kind, "parameters": count, "tensors": len(params["ours"]), "threads": torch.get_num_threads(), "rounds": ROUNDS,
        "built": "rule" if isinstance(optimizers["ours"], RuleOptimizer) else "torch", "ms": round(1e3 * statistics.median(times["ours"]), 4),
        "times_ours": ratios, "numbers_per_parameter": round(kept(optimizers["ours"]) / count, 4),
    }  # fmt: skip
    if kind in TENSORS:
        figures["formula"] = TENSORS[kind]
    return figures


def main() -> None:
    torch.set_num_threads(1)
    for size in sys.argv[1:] or SIZES:
        for kind in dict.fromkeys((*TORCH, *PEERS)):
            record(
                "optimizers", "a step is as fast as torch's best way, and keeps what its formula says", measured(kind, size)
            )


if __name__ == "__main__":
    main()
