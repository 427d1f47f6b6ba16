"""Processes of tuneful that a test may kill, stop and watch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Nursery:
    """Children forked by one process that has imported everything (nursery.py)."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "nursery.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self._answer() == {"threads": 1}, "a fork would lose a thread"

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def _ask(self, order: dict[str, Any]) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self._answer())

    def start(self, do: str, **order: Any) -> int:
        """Start a child and return its process id."""
        return self._ask({"do": do, **order})

    def cli(self, *words: object, said: Path, **order: Any) -> int:
        """Start a command; what it says goes to said/out and said/err."""
        said.mkdir(parents=True, exist_ok=True)
        for name in ("out", "err"):
            (said / name).write_text("")
        return self.start("cli", words=[str(w) for w in words], out=str(said / "out"), err=str(said / "err"), **order)

    def wait(self, pid: int, within: float = 120.0) -> int:
        """The exit code of a child, or minus the signal that ended it."""
        return self._ask({"wait": pid, "within": within})

    def end(self) -> None:
        """No child may be left running; the nursery ends with its input."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    one = Nursery()
    yield one
    one.end()


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """`until(lambda: ...)` waits for a fact, and fails when it does not come."""

    def wait(fact: Callable[[], Any], within: float = 60.0) -> None:
        last = time.monotonic() + within
        while not fact():
            assert time.monotonic() < last, "it did not happen in time"
            time.sleep(0.0005)

    return wait
