"""Processes of tuneful that a test may kill, stop and watch."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tuneful.cli import main


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

    def wait(self, pid: int, within: float = 360.0) -> int:
        """The exit code of a child, or minus the signal that ended it."""
        return self._ask({"wait": pid, "within": within})

    def end(self) -> None:
        """No child may be left running; the nursery ends with its input."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()


def _called(*words: object) -> SimpleNamespace:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue())


def _refused(*words: object) -> str:
    said = _called(*words)
    assert said.code == 2, said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err[said.err.index("error: ") :]


@pytest.fixture(scope="session")
def tuneful() -> Callable[..., Any]:
    """A command in this process: `tuneful("show", run)` -> code, out, err."""
    return _called


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """A command that must end with code 2 and a sentence: what it says, from its error on."""
    return _refused


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run that is finished; copy it before it is changed."""
    home = tmp_path_factory.mktemp("finished")
    said = _called("train", "digits", "limit=200", "threads=1", "model=linear", "epochs=2", "--home", home, "--name", "few")
    assert said.code == 0, said.err
    return home / "few"


@pytest.fixture(scope="session")
def people() -> Callable[[Path], Path]:
    """`people(folder)` writes a table of 300 rows there: three numbers, and a yes or no that they tell almost surely."""

    def written(folder: Path) -> Path:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(300, 3))
        y = np.where(x @ [1.0, -2.0, 0.5] + 0.3 * rng.normal(size=300) > 0, "yes", "no")
        path = folder / "people.csv"
        path.write_text("a,b,c,y\n" + "".join(f"{r[0]:.4f},{r[1]:.4f},{r[2]:.4f},{k}\n" for r, k in zip(x, y, strict=True)))
        return path

    return written


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    one = Nursery()
    yield one
    one.end()


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """`until(lambda: ...)` waits for a fact, and fails when it does not come; told() says what is known then."""

    def wait(fact: Callable[[], Any], told: Callable[[], str] = str, within: float = 240.0) -> None:
        last = time.monotonic() + within
        while not fact():
            assert time.monotonic() < last, f"it did not happen in time; {told()}"
            time.sleep(0.0005)

    return wait
