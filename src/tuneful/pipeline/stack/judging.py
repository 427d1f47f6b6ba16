"""The validation of many members at once: one pass of the stacked program over valid, then each member's own measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuneful.pipeline.candidate import as_input
from tuneful.pipeline.goals import GOALS
from tuneful.pipeline.stack.program import Program
from tuneful.pipeline.train import Run

ROWS = 1 << 14  # examples times members that go through the program at once


def judged(runs: Sequence[Run], program: Program, tensors: Mapping[str, Tensor]) -> list[Any]:
    """What `judge.predict` says of valid, for each member; tensors: of what is read out, [K, *shape]."""
    task, network, k = runs[0].task, runs[0].network, len(runs)
    found: list[Any] = []
    x, size = task.valid.x, max(1, ROWS // k)
    link = GOALS[task.kind].link()
    with torch.no_grad():
        for start in range(0, len(x), size):
            seen = network.front(as_input(torch.from_numpy(np.array(x[start : start + size]))).to(runs[0].device))
            z = network.back(program(seen, tensors, None, k, shared=True).flatten(0, 1))
            answers = link(z.cpu().double()).numpy()
            found.append(answers.reshape(k, -1, *answers.shape[1:]))
    whole = np.concatenate(found, axis=1)
    return [np.ascontiguousarray(one) for one in whole]


def serves(run: Run) -> bool:
    """Is there one reading, of one pass, with one row an example?"""
    kept = run.kept
    one = not kept.keepers or (kept.single and not kept.keepers[0].stale)
    return one and not run.network.views and not GOALS[run.task.kind].writes and run.task.kind != "segmentation"
