"""Micro-batching without a waiting window: while a batch runs, what arrives is queued; then all of it goes through together.

At one connection the queue is empty and every request runs at once, alone; at many connections batches grow by themselves. A
batch takes at most `limits.batch` examples, and no more than fit into the target time by what batches took so far:

    t(n) = call + n row;   both are running means, of batches of one example and of the others' time per example

Batches that take less than INLINE seconds by that estimate run on the loop's own thread, where a hand-over would cost more than
the work; longer ones run on the model's worker thread. A full queue refuses (429) and says when to come again.

Source: the queue discipline is Clipper's adaptive batching (Crankshaw et al., NSDI 2017, section 4.3) with a delay of zero.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuneful.runtime.serve.limits import Limits
from tuneful.runtime.serve.refusal import FAILED, Refusal
from tuneful.runtime.serve.traces import TIMES, now

INLINE = 0.002  # seconds that the loop may be held up
_MEMORY = 0.9  # of the running means


class Job(NamedTuple):
    """Examples of one request; gone: has its client left?"""

    x: NDArray[Any]
    future: asyncio.Future[NDArray[Any]]
    gone: Callable[[], bool]
    times: list[tuple[str, int, int, int]] | None = None  # where traces are made: what took from when to when (`traces`)
    laid: int = 0  # when it came, likewise


def stays() -> bool:
    """`gone` of one who waits in any case."""
    return False


class Batcher:
    """One queue before one model. Used on one event loop."""

    def __init__(self, work: Callable[[NDArray[Any]], NDArray[Any]], limits: Limits, name: str) -> None:
        self._work, self._limits = work, limits
        self._jobs: deque[Job] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"model-{name}")
        self._busy = False
        self._call, self._row = 0.0, 0.0
        self.waiting = 0  # examples in the queue
        self.seen: Callable[[int], None] = lambda rows: None  # told the size of each batch
        self.failed: Callable[[BaseException], None] = lambda error: None  # told what the model raised

    def learn(self, x: NDArray[Any], seconds: float = 0.3) -> None:
        """Warm up with one example and with many; blocks for about `seconds`, and at least for one batch of each size."""
        for size in (1, min(32, self._limits.batch)):
            batch, until, often = np.repeat(x[:1], size, axis=0), time.perf_counter() + seconds / 2, 0
            self._work(batch)
            while often < 3 or (often < 50 and time.perf_counter() < until):
                begun = time.perf_counter()
                self._work(batch)
                self._took(size, time.perf_counter() - begun)
                often += 1
                if time.perf_counter() > until + 2:
                    break

    def expected(self, rows: int) -> float:
        """Seconds that so many examples will take."""
        return self._call + rows * self._row

    async def __call__(self, x: NDArray[Any], gone: Callable[[], bool] = stays) -> NDArray[Any]:
        """The model's answers for examples [n, ...], in their order.

        Raises: Refusal, with 429 when the queue is full, 500 when the model fails on these examples, 503 when it takes too long.
        """
        if self.waiting and self.waiting + len(x) > self._limits.queue:
            wait = max(1, math.ceil(self.expected(self.waiting)))
            raise Refusal(429, "queue", f"{self.waiting} examples wait for this model, and {self._limits.queue} may",
                          f"try again in {wait} s", wait)  # fmt: skip
        loop = asyncio.get_running_loop()
        times = TIMES.get()
        job = Job(x, loop.create_future(), gone, times, now() if times is not None else 0)
        self._jobs.append(job)
        self.waiting += len(x)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next)
        if self._call < 0.05:  # a timer costs more than such a model
            return await job.future
        try:
            return await asyncio.wait_for(job.future, self._limits.answer_seconds)
        except TimeoutError:
            raise Refusal(
                503, "time", f"no answer within {self._limits.answer_seconds:g} s", "send fewer examples"
            ) from None

    def _next(self) -> None:
        """Take what is queued and run it."""
        taken, rows, most = list[Job](), 0, self._most()
        while self._jobs and (not taken or rows + len(self._jobs[0].x) <= most):
            job = self._jobs.popleft()
            self.waiting -= len(job.x)
            if job.gone() or job.future.done():
                job.future.cancel()
                continue
            if job.times is not None:
                job.times.append(("queue", job.laid, now(), len(job.x)))
            taken.append(job)
            rows += len(job.x)
        if not taken:
            self._busy = False
            return
        loop = asyncio.get_running_loop()
        if self.expected(rows) < INLINE:
            self._give(taken, self._run(taken), loop)
            return
        self._thread.submit(self._run, taken).add_done_callback(
            lambda done: loop.call_soon_threadsafe(self._give, taken, done.result(), loop)
        )

    def _most(self) -> int:
        room = self._limits.target_ms / 1e3 - self._call
        return max(1, min(self._limits.batch, int(room / self._row) if self._row > 0 else self._limits.batch))

    def _run(self, jobs: list[Job]) -> list[NDArray[Any] | BaseException]:
        """Answers or what was raised, for each job; when a batch fails its jobs are tried one by one."""
        followed = [job.times for job in jobs if job.times is not None]
        taken = now() if followed else 0
        x = jobs[0].x if len(jobs) == 1 else np.concatenate([job.x for job in jobs])
        ran = now() if followed else 0
        begun = time.perf_counter()
        try:
            told = self._work(x)
        except Exception as error:  # onnxruntime's errors share no other base
            return [error] if len(jobs) == 1 else [self._run([job])[0] for job in jobs]
        self._took(len(x), time.perf_counter() - begun)
        for times in followed:
            ended = now()
            times += [("batch", taken, ended, len(x)), ("run", ran, ended, len(x))]
        self.seen(len(x))
        if len(jobs) == 1:
            return [told]
        ends = np.cumsum([len(job.x) for job in jobs])
        return [told[end - len(job.x) : end] for job, end in zip(jobs, ends, strict=True)]

    def _give(self, jobs: list[Job], told: list[NDArray[Any] | BaseException], loop: asyncio.AbstractEventLoop) -> None:
        for job, answer in zip(jobs, told, strict=True):
            if isinstance(answer, BaseException):
                self.failed(answer)
            if job.future.done():
                continue
            if isinstance(answer, BaseException):
                job.future.set_exception(Refusal(500, "model", FAILED, "the server's log says more under this id"))
            else:
                job.future.set_result(answer)
        if self._jobs:
            loop.call_soon(self._next)
        else:
            self._busy = False

    def _took(self, rows: int, seconds: float) -> None:
        keep = _MEMORY
        if rows == 1:
            self._call = keep * self._call + (1 - keep) * max(0.0, seconds - self._row) if self._call else seconds
        else:
            row = max(0.0, seconds - self._call) / rows
            self._row = keep * self._row + (1 - keep) * row if self._row else row

    def close(self) -> None:
        """No more batches after those that run."""
        self._thread.shutdown(wait=False)


__all__ = ["INLINE", "Batcher", "stays"]
