"""Batches of data that does not fit into memory, read by threads ahead of the loop.

    ahead = Ahead(lazy, rows_of, device)
    x = ahead.at(step)                 # [B, *shape] in the stored type, on the device

The batch of a step is what `rows_of(step)` names, a function of (seed, step): however many threads read, in whatever order they
end, and wherever a run is taken up, it is the same to the last bit. At most DEPTH batches wait; on a GPU they lie in pinned
memory, so that copying goes on beside computing. What goes wrong in a thread is raised by `at` of that step.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from tuneful.pipeline.lazy import THREADS, Lazy, Rows

DEPTH = 2 * THREADS


class Ahead:
    """x: what is read; rows_of: the places in x of a step's batch, called by the loop's thread alone; last: no step from there
    on is read before it is asked for."""

    def __init__(self, x: Lazy, rows_of: Callable[[int], Rows], device: torch.device, last: int) -> None:
        self.x, self.rows_of, self.device, self.last = x, rows_of, device, last
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tuneful-read")
        self._waiting: dict[int, Future[Tensor]] = {}
        # Threads end with whoever asks, not with the process, and what still waits is not read any more.
        weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)

    def at(self, step: int) -> Tensor:
        """The inputs of a step's batch. Raises DataError when a row cannot be read any more."""
        for other in [s for s in self._waiting if not step <= s < step + DEPTH]:
            self._waiting.pop(other).cancel()  # the loop has jumped
        for wanted in range(step, max(step + 1, min(step + DEPTH, self.last))):
            if wanted not in self._waiting:
                pinned = self.device.type == "cuda"
                self._waiting[wanted] = self._pool.submit(_read, self.x, self.rows_of(wanted), pinned)
        return self._waiting.pop(step).result().to(self.device, non_blocking=True)

    def now(self, places: Rows) -> Tensor:
        """The inputs at these places, read at once."""
        return _read(self.x, places, False).to(self.device)


def _read(x: Lazy, places: Rows, pinned: bool) -> Tensor:
    read = torch.from_numpy(x.reader.read(x.rows[places]))
    return read.pin_memory() if pinned else read
