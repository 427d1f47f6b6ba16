"""The limits that a run meets: a wish to stop, the end of its time, the end of memory."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

import torch


@dataclass
class Halt:
    """Asks a run to stop after the step at hand. deadline: a `time.monotonic()` moment; by: the signal that asked, or 0."""

    requested: bool = False
    deadline: float = math.inf
    by: int = 0

    @property
    def due(self) -> bool:
        """Is it time to stop?"""
        return self.requested or time.monotonic() >= self.deadline


@contextlib.contextmanager
def stopping_on_signals(halt: Halt) -> Iterator[Halt]:
    """While inside, Ctrl-C and SIGTERM ask for a stop instead of breaking off; a second Ctrl-C breaks off.

    Only the main thread can take signals; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield halt
        return

    def asked(number: int, frame: FrameType | None) -> None:
        if halt.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        halt.requested, halt.by = True, number

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield halt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def out_of_memory(error: BaseException) -> bool:
    """Did memory run out? torch says so in several ways: a class on GPUs, a sentence on CPUs."""
    text = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "can't allocate memory" in text
        or "not enough memory" in text
    )
