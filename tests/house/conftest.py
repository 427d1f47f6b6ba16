"""What the tests of the house look at: the files of the repository, and the modules of tuneful."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "tuneful"


def _tracked() -> list[Path]:
    """The files that git tracks or would add; without git, all files outside hidden and build folders."""
    try:
        said = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        names = [Path(os.fsdecode(name)) for name in said.stdout.split(b"\0") if name]
    except (OSError, subprocess.CalledProcessError):
        away = {"runs", "build", "dist", "__pycache__"}
        names = [
            name
            for path in ROOT.rglob("*")
            if not away & set((name := path.relative_to(ROOT)).parts) and (".ci" in name.parts or name.parts[0][0] != ".")
        ]
    return sorted(ROOT / name for name in names if (ROOT / name).is_file())


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def package() -> Path:
    """The folder src/tuneful."""
    return PACKAGE


@pytest.fixture(scope="session")
def modules() -> dict[str, Path]:
    """All modules of the package: dotted name -> file."""
    return {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.fixture(scope="session")
def sources(modules: dict[str, Path]) -> list[SimpleNamespace]:
    """All modules of the package as they are written: name, path, at (path from the root), text, tree (its syntax)."""
    found = []
    for name, path in modules.items():
        text = path.read_text(encoding="utf-8")
        found.append(
            SimpleNamespace(name=name, path=path, at=path.relative_to(ROOT), text=text, tree=ast.parse(text, str(path)))
        )
    return found


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file of the repository that is, or will be, tracked."""
    return _tracked()


@pytest.fixture(scope="session")
def texts(tracked: list[Path]) -> dict[Path, str]:
    """The tracked files that are text, by their path from the root."""
    found: dict[Path, str] = {}
    for path in tracked:
        data = path.read_bytes()
        if b"\0" not in data[:8192]:
            found[path.relative_to(ROOT)] = data.decode("utf-8")
    return found


@pytest.fixture(scope="session")
def python() -> Callable[..., Any]:
    """Run code in a fresh interpreter; fails the test with what it wrote when it fails."""

    def run(code: str, *words: str) -> str:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "PYTEST_"))}
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=clean, timeout=120)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
