"""Claim: a stack of K members holds K states, and in a step one workspace of K members; together within 10 % of K single runs' at once.

    python benchmarks/memory.py [CASES]        of benchmarks/stack.py; all but the last two by default

Counted, not weighed: bytes of all tensors that are alive, followed through torch's dispatcher from the first to the last, so that it
does not matter what an allocator keeps. held: between two steps, without the data, which all share; workspace: the most in a step
beyond that. What kernels take for themselves is in neither. A figure is a ratio to K times one run's own.
"""

from __future__ import annotations

import gc
import json
import sys
import weakref
from collections.abc import Callable
from typing import Any

import torch
from record import record
from stack import CASES, recipes, task
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tuneful.pipeline.stack import Stack
from tuneful.pipeline.step import arithmetic
from tuneful.pipeline.train import Run


class Alive(TorchDispatchMode):
    """Bytes of the storages of all tensors that operations gave and that are still there."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for one in tree_leaves(found):
            if isinstance(one, torch.Tensor):
                self._born(one.untyped_storage())
        return found

    def _born(self, storage: Any) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place in self.known:
            return
        self.known.add(place)
        self.bytes += size
        self.most = max(self.most, self.bytes)
        weakref.finalize(storage, self._gone, place, size)

    def _gone(self, place: int, size: int) -> None:
        self.known.discard(place)
        self.bytes -= size


def measured(make: Callable[[], tuple[Any, Callable[[], None]]]) -> tuple[int, int]:
    """(held, workspace) of what it makes; calling what it gives takes some steps."""
    with Alive() as alive:
        kept, step = make()
        for _ in range(3):
            step()
        gc.collect()
        held = alive.bytes
        alive.most = held
        step()
        gc.collect()
    del kept
    return held, alive.most - held


def sides(case: str) -> dict[str, Any]:
    """One run's and a stack's."""
    shape, kind, _, k = CASES[case]
    on, members = task(shape, kind), recipes(case, 640)
    data = 0

    def alone() -> tuple[Any, Callable[[], None]]:
        nonlocal data
        run = Run(on, members[0])
        run.early.steps = 0
        data = run.batches._fronted.nbytes if run.batches._fronted is not None else 0
        return run, lambda: run.advance(1)  # type: ignore[return-value]

    def stacked() -> tuple[Any, Callable[[], None]]:
        stack = Stack(on, members, width=k)
        for run in stack.runs.values():
            run.early.steps = 0
        stack._lay()
        return stack, lambda: stack._advance(1)

    with arithmetic(1):
        one, all_of = measured(alone), measured(stacked)
    held, state = all_of[0] - data, one[0] - data
    return {
        "case": case, "members": k, "held_kb": round(held / 1e3, 1), "held": round(held / (k * state), 3),
        "workspace_kb": round(all_of[1] / 1e3, 1), "workspace": round(all_of[1] / (k * one[1]), 3),
        "together": round((held + all_of[1]) / (k * (state + one[1])), 3),
    }  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    for case in sys.argv[1:] or list(CASES)[:-1]:
        figures = sides(case)
        if case == "tiny":
            print(json.dumps(figures))
        else:
            record("stack", "a stack holds K states and one workspace", figures)


if __name__ == "__main__":
    main()
