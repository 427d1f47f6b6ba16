"""Claim: a step of ours takes no longer than the best of torch.optim's ways, and its state is the formula's.

    python benchmarks/optimizers.py [SIZES] [OPTIMIZERS]     10k 1m 20m and all of them by default; "tiny" tries the script

torch's ways are what it does by default, its loop, foreach and fused. Of each optimizer the ways take turns, in an order drawn anew
each round, in memory that is taken anew three times (whoever follows foreach finds its caches and its heap in disorder), in
one process on one thread, a few steps each; a figure is the median over many rounds of the ratio to ours in the same round, so that
what slows the machine down for a while slows all of them. Time is that of the core, without what others took of it.

All do the same work: one group, whose vectors are decayed as its matrices are; peers with our decay, momentum and (LAMB) without their
clipping; Muon in bfloat16, since torch and the peers iterate in it and ours does not by default. Two differences are left: torch's
Muon is given the matrices alone, where ours steps the vectors too, and pytorch_optimizer's RAdam has no first steps to take,
so all are past them (8 steps) before time is taken. `make peers` makes an
environment in which pytorch_optimizer (and timm, where it can be imported) stands beside; without them their columns are absent.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.metadata
import json
import random
import statistics
import sys
import time
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from record import record
from torch import Tensor, nn

from tuneful.techniques.optimizers import TABLE, RuleOptimizer

SIZES = {"tiny": (600, 4), "10k": (10_000, 10), "1m": (1_000_000, 20), "20m": (20_000_000, 40)}  # numbers, tensors
STEPS = {"tiny": 2, "10k": 10, "1m": 1, "20m": 1}  # in a round
ROUNDS = {"tiny": 7, "10k": 101, "1m": 41, "20m": 7}
BUILDS = 3  # times that all is built anew, since where a tensor comes to lie makes a tenth
HEAVY = ("muon", "soap")  # products of matrices: fewer rounds
SMALL = 1e-12  # Prodigy's rate would run away along a gradient that never changes
OURS: dict[str, dict[str, Any]] = {"muon": {"bf16": True}, "prodigy": {"lr": SMALL}}
TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {}), "momentum": ("SGD", {"momentum": 0.9}), "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {}), "adadelta": ("Adadelta", {}), "rmsprop": ("RMSprop", {}), "adam": ("Adam", {}),
    "amsgrad": ("Adam", {"amsgrad": True}), "adamw": ("AdamW", {}), "nadam": ("NAdam", {}), "radam": ("RAdam", {}),
    "adamax": ("Adamax", {}), "adafactor": ("Adafactor", {}), "muon": ("Muon", {}),
}  # fmt: skip
FUSED = ("SGD", "Adam", "AdamW", "Adagrad")
PEERS = {"lion": "Lion", "lamb": "Lamb", "lars": "LARS", "prodigy": "Prodigy", "adabound": "AdaBound", "nadam": "NAdam",
         "schedule_free_adamw": "ScheduleFreeAdamW", "schedule_free_sgd": "ScheduleFreeSGD", "adafactor": "AdaFactor", "adamw": "AdamW",
         "radam": "RAdam", "muon": "Muon", "soap": "SOAP"}  # fmt: skip
TIMM = {
    "lion": "Lion",
    "lamb": "Lamb",
    "lars": "Lars",
    "nadamw": "NAdamW",
    "adafactor": "Adafactor",
    "muon": "Muon",
    "adamw": "AdamWLegacy",
}
"""Each in a file of the optimizer's name."""
ALIKE: dict[str, dict[str, Any]] = {  # what makes a peer do our work
    "lion": {"weight_decay": 0.1}, "lamb": {"weight_decay": 0.01}, "lars": {"weight_decay": 1e-4, "momentum": 0.9},
    "adamw": {"weight_decay": 0.01}, "nadamw": {"weight_decay": 0.01}, "soap": {"weight_decay": 0.01}, "prodigy": {"lr": SMALL},
}  # fmt: skip
TENSORS = {"sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "adadelta": 2, "rmsprop": 1, "adam": 2, "amsgrad": 3, "adamw": 2,
           "nadam": 2, "radam": 2, "adamax": 2, "lion": 1, "lamb": 2, "lars": 1, "prodigy": 4, "adabound": 2,
           "schedule_free_adamw": 2, "schedule_free_sgd": 1, "amsbound": 3, "nadamw": 2, "gd": 0}  # fmt: skip


def formula(kind: str, params: list[nn.Parameter]) -> int:
    """Numbers that the state should hold, as the docstring of each file says."""
    if kind in TENSORS:
        return TENSORS[kind] * sum(p.numel() for p in params)
    found = 0
    for p in params:
        if kind == "muon":  # the mean of a matrix; two tensors of AdamW for the rest
            found += p.numel() * (1 if p.ndim >= 2 else 2)
        elif kind == "soap":  # two tensors; of a matrix its covariances and their eigenvectors as well
            found += 2 * p.numel() + (2 * sum(side**2 for side in p.shape) if p.ndim >= 2 else 0)
        else:  # adafactor: a row and a column of a matrix, all of a vector
            found += sum(p.shape) if p.ndim >= 2 else p.numel()
    return found


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
    found: dict[str, Callable[[Any], torch.optim.Optimizer]] = {"ours": TABLE[kind](**OURS.get(kind, {})).build}
    if kind in TORCH:
        name, words = TORCH[kind]
        cls = getattr(torch.optim, name)
        words = {"lr": 1e-3, **words}
        if kind == "muon":  # torch's takes matrices alone
            found["torch default"] = lambda ps: cls([p for p in ps if p.ndim == 2], **words)
            return found | peers(kind)
        found["torch default"] = lambda ps: cls(ps, **words)
        found["torch loop"] = lambda ps: cls(ps, foreach=False, **words)
        found["torch foreach"] = lambda ps: cls(ps, foreach=True, **words)
        if name in FUSED:
            found["torch fused"] = lambda ps: cls(ps, fused=True, **words)
    return found | peers(kind)


def peers(kind: str) -> dict[str, Callable[[Any], torch.optim.Optimizer]]:
    """The classes of other packages, where these are installed."""
    found: dict[str, Callable[[Any], torch.optim.Optimizer]] = {}
    try:
        import pytorch_optimizer as others
    except ImportError:
        others = None
    if others is not None and kind == "muon":  # its groups say who is a matrix
        found["pytorch_optimizer"] = lambda ps: others.Muon([
            {"params": [p for p in ps if (p.ndim == 2) == matrix], "use_muon": matrix} for matrix in (True, False)
        ])  # fmt: skip
    elif others is not None and kind in PEERS:
        words = ALIKE.get(kind, {}) | ({"max_grad_norm": 0.0} if kind == "lamb" else {})
        found["pytorch_optimizer"] = lambda ps: getattr(others, PEERS[kind])(ps, **words)
    if (
        kind in TIMM
        and (spec := importlib.machinery.PathFinder.find_spec("timm")) is not None
        and spec.submodule_search_locations
    ):
        for name in ("timm", "timm.optim"):  # its networks import torchvision, its optimizers do not
            bare = types.ModuleType(name)
            bare.__path__ = [str(Path(spec.submodule_search_locations[0], *name.split(".")[1:]))]
            sys.modules.setdefault(name, bare)
        theirs = getattr(importlib.import_module(f"timm.optim.{kind}"), TIMM[kind])
        given = {"lr": 1e-3} | ALIKE.get(kind, {}) | ({"max_grad_norm": None} if kind == "lamb" else {})
        found["timm"] = lambda ps: theirs(ps, **given)
    return found


def kept(optimizer: torch.optim.Optimizer) -> int:
    """Numbers in the state, beside the counts of steps."""
    return sum(v.numel() for s in optimizer.state.values() for k, v in s.items() if isinstance(v, Tensor) and k != "step")


def packages() -> dict[str, str]:
    """The peers' versions."""
    found: dict[str, str] = {}
    for name in ("pytorch_optimizer", "timm"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def measured(kind: str, size: str) -> dict[str, Any]:
    """Seconds of a step of ours, the others' as multiples of it, and the state's numbers per parameter."""
    steps, rounds = (1, 7 if size != "20m" else 3) if kind in HEAVY else (STEPS[size], ROUNDS[size])
    times: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    order, dice = list(ways(kind)), random.Random(0)
    params: dict[str, list[nn.Parameter]] = {}
    optimizers: dict[str, Any] = {}
    for _ in range(BUILDS):
        dice.shuffle(order)
        params.clear()
        optimizers.clear()
        for way in order:
            params[way] = network(size)
            try:
                optimizers[way] = ways(kind)[way](params[way])
                optimizers[way].step()
            except Exception as error:  # a peer that cannot be built is told, and the others are measured
                if way == "ours":
                    raise
                optimizers.pop(way, None)
                failed[way] = f"{type(error).__name__}: {error}"[:200]
        for optimizer in optimizers.values():
            if kind.startswith("schedule_free"):
                optimizer.train()
            for _ in range(1 if kind in HEAVY else 8):
                optimizer.step()
        turns = list(optimizers)
        for _ in range(-(-rounds // BUILDS)):
            dice.shuffle(turns)
            for way in turns:
                began = time.thread_time()
                for _ in range(steps):
                    optimizers[way].step()
                times.setdefault(way, []).append((time.thread_time() - began) / steps)
    ratios = {
        way: [
            round(f(a / b for a, b in zip(times[way], times["ours"], strict=True)), 3) for f in (statistics.median, min, max)
        ]
        for way in times
        if way != "ours"
    }
    count = sum(p.numel() for p in params["ours"])
    figures: dict[str, Any] = {
        "optimizer": kind, "parameters": count, "tensors": len(params["ours"]), "threads": torch.get_num_threads(), "rounds": len(times["ours"]), "builds": BUILDS,
        "built": "rule" if isinstance(optimizers["ours"], RuleOptimizer) else "torch", "ms": round(1e3 * statistics.median(times["ours"]), 4),
        "times_ours": ratios, "failed": failed, "peers": packages(), "numbers_per_parameter": round(kept(optimizers["ours"]) / count, 4),
    }  # fmt: skip
    wanted = formula(kind, params["ours"])
    figures |= {"formula": round(wanted / count, 4), "as_formula": kept(optimizers["ours"]) == wanted}
    best = min((figures["times_ours"][way][0] for way in ratios if way.startswith("torch")), default=None)
    if best is not None:
        figures["best_of_torch_times_ours"] = best  # at least 0.95 is the claim
    if "torch fused" in ratios:
        figures["torch_default_times_ours"] = ratios["torch default"][0]  # at least 2 is the claim, on the CPU
    return figures


def main() -> None:
    torch.set_num_threads(1)
    sizes = [word for word in sys.argv[1:] if word in SIZES] or [size for size in SIZES if size != "tiny"]
    everything = list(dict.fromkeys((*TORCH, *PEERS, "amsbound", "nadamw")))
    kinds = [word for word in sys.argv[1:] if word not in SIZES] or everything
    if unknown := [kind for kind in kinds if kind not in everything]:
        raise SystemExit(f"{', '.join(unknown)} is neither a size ({', '.join(SIZES)}) nor one of {', '.join(everything)}")
    for size in sizes:
        for kind in kinds:
            figures = measured(kind, size)
            if size == "tiny":  # to see that all of it works; nothing is recorded
                print(json.dumps(figures), flush=True)
            else:
                record("optimizers", "a step is as fast as torch's best way, and keeps what its formula says", figures)


if __name__ == "__main__":
    main()
