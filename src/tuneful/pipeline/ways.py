"""Which ways of carrying out the steps are worth timing here, and why others are not.

One change after another from the best way so far:

    for move in moves(...): way = move.make(best)        # an Execution, or None

Layout and precision go together: bf16 convolutions gain most when images lie channel by channel (LOG.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from tuneful.core.execution import Execution
from tuneful.core.form import Form
from tuneful.pipeline.carrying import cores, native

COMPILING = {"cpu": 40.0, "cuda": 60.0}  # seconds that torch.compile takes for a network of usual size (LOG.md)
BIG = 2**25  # bytes of activations from which parts of a batch may be faster than the whole, since they stay in the cache


@dataclass(frozen=True)
class Move:
    """A change to the best way so far; about: its name; why_not: why it is not tried here, "" where it is."""

    about: str
    make: Callable[[Execution], Execution | None]
    why_not: str = ""


def moves(
    facts: Facts, form: Form, device: torch.device, start: Execution, saved: int, batch: int, seconds: float
) -> list[Move]:
    """What to try, in this order. facts: of the run; start: how it is carried out by itself; saved: bytes that a step keeps for its
    backward pass; seconds: for planning, of which compiling takes its own."""
    found: list[Move] = []
    images = form.kind in ("image", "spectrogram") and len(form.shape) == 3
    found += _precisions(facts, device, images)  # first, as they bring most where time is short
    if images:
        found.append(Move("channels last", lambda best: _other_layout(best)))
    if facts.fused:
        found.append(Move("unfused optimizer", lambda best: best.replace(fused=False)))
    found += _threads(facts, device, start)
    norms = any(isinstance(one, _NormBase) for one in facts.body.modules())
    why = (
        "batch norms would see parts of a batch" if norms
        else f"a step keeps {saved / 2**20:.3g} MB of activations, which is little" if saved < BIG
        else "the batch is one example" if batch < 2 else ""
    )  # fmt: skip
    for parts in (2, 4):
        if (not why and batch >= parts) or parts == 2:
            found.append(Move(f"{parts} parts a batch", lambda best, parts=parts: best.replace(parts=parts), why))
    why = "" if device.type == "cuda" else "CUDA graphs need a GPU"
    found.append(Move("CUDA graph", lambda best: best.replace(graphed=True), why))
    needs = COMPILING.get(device.type, 60.0)
    why = "" if seconds > needs else f"it takes about {needs:.0f} s, and {seconds:.2g} s are for planning"
    found.append(Move("torch.compile", lambda best: best.replace(compiled=True, graphed=False), why))
    found.append(
        Move("recomputed activations", lambda best: None, "memory suffices; where it runs out they are computed again")
    )
    return found


@dataclass(frozen=True)
class Facts:
    """What of a run decides which ways there are. asked: precision as the user set it, "" for auto; threads: may they be changed?"""

    body: nn.Module
    classes: bool
    fused: bool
    asked: str
    threads: bool


def _other_layout(best: Execution) -> Execution:
    return best.replace(layout="rows" if best.layout == "channels_last" else "channels_last")


def _precisions(facts: Facts, device: torch.device, images: bool) -> list[Move]:
    why = (
        f"precision={facts.asked} is asked for" if facts.asked
        else "the answers are values, of which bf16 keeps three digits" if not facts.classes
        else "" if native(device) else "this device does not multiply bf16 numbers itself"
    )  # fmt: skip
    found = [Move("bf16", lambda best: best.replace(precision="bf16"), why)]
    if images and not why:
        # Tried beside the other layout too: which is better in fp32 need not be so in bf16.
        found.append(Move("bf16, other layout", lambda best: _other_layout(best).replace(precision="bf16")))
    if device.type == "cuda" and facts.classes and not facts.asked:
        found.append(Move("fp16", lambda best: best.replace(precision="fp16")))
    return found


def _threads(facts: Facts, device: torch.device, start: Execution) -> list[Move]:
    there = cores()
    if there == 1:
        return [Move("more threads", lambda best: None, "there is one core")]
    if not facts.threads or device.type == "cuda":
        why = "the work is the GPU's" if device.type == "cuda" else "threads are set in the recipe"
        return [Move("other threads", lambda best: None, why)]
    if start.threads == 1:
        return [Move("more threads", lambda best: None, "a step is too small to be shared")]
    counts = sorted({1, *(2**k for k in range(1, there.bit_length())), there})
    return [
        Move(f"{n} thread{'s' if n > 1 else ''}", lambda best, n=n: best.replace(threads=n) if best.threads != n else None)
        for n in counts
        if n <= there
    ]


__all__ = ["Facts", "Move", "moves"]
