"""The training split in memory as two tensors, and the order in which a run sees it.

The order of epoch e is a permutation keyed by (seed, "order", e): nothing has to be saved to go on in the middle of an
epoch. Every batch is full; what is left of an epoch's permutation is not used in that epoch (another permutation follows).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tuneful.core.chance import key
from tuneful.core.task import Task
from tuneful.pipeline.candidate import as_input
from tuneful.pipeline.goals import goal


class Batches:
    """Batches of one run, by the number of the step.

    x stays in the type of the split (uint8 images are not inflated) on `device`; a batch is float32, or int64 where examples are
    tokens. y: as the goal of the task encodes it.
    """

    def __init__(self, task: Task, batch_size: int, seed: int, device: torch.device) -> None:
        self.x = torch.from_numpy(task.train.x).to(device)
        y = torch.from_numpy(task.train.y).to(device)
        self.y: Tensor = goal(task).encode(task, y)
        self.size = batch_size
        self.seed = seed
        self.per_epoch = max(1, len(self.y) // batch_size)
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step: x [B, ...] float32 (tokens: int64), y."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            dice = torch.Generator().manual_seed(key(self.seed, "order", epoch))
            self._order = torch.randperm(len(self.y), generator=dice).to(self.y.device)
            self._epoch = epoch
        chosen = self._order[place * self.size : (place + 1) * self.size]
        return as_input(self.x.index_select(0, chosen)), self.y.index_select(0, chosen)
