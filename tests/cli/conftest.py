"""Two small runs that the tests of the command line share, and a way to call it."""

from __future__ import annotations

import contextlib
import io
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tuneful.cli import main


def _called(*words: str) -> SimpleNamespace:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue())


@pytest.fixture(scope="session")
def tuneful() -> Callable[..., Any]:
    """Call a command in this process: `tuneful("show", "run")` -> code, out, err."""
    return _called


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for runs that $TUNEFUL_HOME names, for this process and its children."""
    before = os.environ.get("TUNEFUL_HOME")
    folder = tmp_path_factory.mktemp("home")
    os.environ["TUNEFUL_HOME"] = str(folder)
    yield folder
    if before is None:
        del os.environ["TUNEFUL_HOME"]
    else:
        os.environ["TUNEFUL_HOME"] = before


@pytest.fixture(scope="session")
def digits(home: Path) -> SimpleNamespace:
    """A finished training on a few digits: folder, and what the command said."""
    said = _called("train", "model=linear", "digits", "epochs=2", "limit=200", "--name", "few", "--budget", "60s")
    assert said.code == 0, said.err
    return SimpleNamespace(folder=home / "few", said=said)


@pytest.fixture(scope="session")
def houses(home: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A finished training on a made table whose target is a sum: folder, table."""
    dice = random.Random(0)
    lines = ["rooms,town,price"]
    for _ in range(150):
        rooms, town = dice.randint(1, 9), dice.choice(["Ulm", "Jena"])
        lines.append(f"{rooms},{town},{1000.5 * rooms + (500 if town == 'Ulm' else 0) + dice.gauss(0, 100):.2f}")
    table = tmp_path_factory.mktemp("data") / "houses.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = _called(
        "train", table, "target=price", "model=linear", "epochs=3", "--name", "houses", "--budget", "60s", "--json"
    )
    assert said.code == 0, said.err
    return SimpleNamespace(folder=home / "houses", table=table, said=said)


@pytest.fixture(scope="session")
def process(home: Path) -> Callable[..., Any]:
    """Run code or `python -m tuneful.cli` in a process of its own."""

    def run(*words: str, code: str = "") -> subprocess.CompletedProcess[str]:
        line = [sys.executable, *(["-c", code] if code else ["-m", "tuneful.cli"]), *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"})

    return run
