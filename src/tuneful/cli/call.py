"""One call of the command: the words as they came, and the moment at which its budget begins to run."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

IMPORTED = time.monotonic()
_LONGEST = 60.0  # seconds an interpreter may take to get here; a process that is older did something else before


@dataclass(frozen=True)
class Call:
    """words: without the program's name; began: a `time.monotonic()` moment."""

    words: tuple[str, ...]
    began: float

    @property
    def line(self) -> str:
        """The line as it can be typed again."""
        return shlex.join(["tuneful", *self.words])

    @property
    def command(self) -> str:
        """The first word that is no option, or ""."""
        return next((word for word in self.words if not word.startswith("-")), "")

    @staticmethod
    def of(words: Sequence[str] | None) -> Call:
        """The call of this process (its budget began with the process), or of given words (it begins now)."""
        if words is None:
            return Call(tuple(sys.argv[1:]), process_start())
        return Call(tuple(words), time.monotonic())


def process_start() -> float:
    """The `time.monotonic()` moment at which this process began; where that is unknown, the one of this import.

    The interpreter and the imports take a second or more: they belong to what the user waits for.
    """
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        since_boot = float(fields[19]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot
    except (OSError, ValueError, IndexError, AttributeError):
        return IMPORTED
    began = time.monotonic() - age
    return began if 0 <= IMPORTED - began < _LONGEST else IMPORTED
